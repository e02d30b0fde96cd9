"""The bridge as a program: `python -I -S FOLDER COMMAND…`, where the folder holds this file and the package."""

import sys

from stagedoor.live.bridge.main import main

main(sys.argv[1:])
