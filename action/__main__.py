"""`python3 -I action COMMAND`: one step of `action.yml`. Even an old Python reads this file, and is told."""

import sys
from pathlib import Path

if sys.version_info < (3, 9):  # noqa: UP036 - a runner's python3 is whatever its image has
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sys.stdout.write(
        f"::error title=Stagedoor%3A old-python::The Action needs Python 3.9 or newer, and python3 is {version}. "
        "Let actions/setup-python come before this step.\n"
    )
    sys.exit(1)

# A folder that is run stands first on the path itself; its package is found from the folder around it.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from action.steps import main  # noqa: E402 - only now is it found

sys.exit(main(sys.argv[1:]))
