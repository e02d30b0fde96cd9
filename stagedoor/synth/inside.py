"""Files of ours that are run behind the executor, by an app's own Python and Node."""

from pathlib import Path

START = Path(__file__).with_name("warm_start.py")
WARM_KERNEL = Path(__file__).with_name("warm_kernel.js")
INSIDE = (START, WARM_KERNEL, Path(__file__).with_name("kernel_start.py"), Path(__file__).with_name("kernel_start.js"))
"""All of them: nothing else of Stagedoor can be read there."""
