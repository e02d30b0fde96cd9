"""`python3 -I action COMMAND`: one step of `action.yml`."""

import sys
from pathlib import Path

# A folder that is run stands first on the path itself; its package is found from the folder around it.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from action.steps import main  # noqa: E402 - only now is it found

sys.exit(main(sys.argv[1:]))
