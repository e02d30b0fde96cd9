"""`stagedoor.toml`: what a repository says of its own apps and stages.

In go the bytes of the file, out comes a frozen `Config`, or `ConfigInvalid` with every mistake at its line and column.
The file is written by the repository, so it chooses among what operators granted and never names an account or a role.
Read `model.py` first (what can be said), then `reading.py` (from bytes to a `Config`); `patterns.py` is how names and
paths are matched, `places.py` finds lines and columns.
"""

from stagedoor.config.model import AppConfig, Config, Live, LiveFunctionRule, Outputs, Previews, StageRule
from stagedoor.config.reading import SIZE_LIMIT, ConfigInvalid, Problem, default_config, parse_config

__all__ = [
    "SIZE_LIMIT",
    "AppConfig",
    "Config",
    "ConfigInvalid",
    "Live",
    "LiveFunctionRule",
    "Outputs",
    "Previews",
    "Problem",
    "StageRule",
    "default_config",
    "parse_config",
]
