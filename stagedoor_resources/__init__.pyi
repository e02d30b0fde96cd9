"""What an app's code is bound to, as type checkers know it before `stagedoor types` was run: anything.

The file `stagedoor_resources.pyi` in the app's own folder comes before this package, for mypy and pyright alike.
Nothing of it is there when a program runs: `stagedoor.runtime` imports it for type checkers alone.
"""

from typing import Any

Api: Any
Bucket: Any
EventBus: Any
Function: Any
Parameter: Any
Queue: Any
Secret: Any
StaticSite: Any
Table: Any
Topic: Any
