"""What our constructs cost an app's program: to import them, and to synthesise."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.alternating import Side, alternate
from bench.peers import ROOT
from bench.results import Result
from bench.rows import Row, ratio, spread

PLAIN = Path(__file__).parent / "plain_shortener"
OURS = ROOT / "examples" / "shortener"
IMPORT_BAR, SYNTH_BAR = 1.1, 1.15

IMPORT_HOW = """
**Import.** A new process each time, of this checkout's Python, in turn: `import aws_cdk`, and the same with `import
stagedoor.constructs` after it, the interpreter's own start included. `aws_cdk` starts a process of Node, which is most
of it.
"""

SYNTH_HOW = """
**Synth.** The example `shortener` (three functions of one source, a table, an API with an access log) beside the same
app in plain aws-cdk-lib (`bench/library/plain_shortener`), each as `python app.py` in a process of its own, in turn,
with the CDK's validation off. Ours has also made the functions' bundles, their roles and what `bind` says.
"""


def imports(rounds: int) -> Row:
    """Measure the import of our constructs beside that of aws_cdk."""
    seconds = alternate(
        {
            "import aws_cdk": Side(lambda: _python("-c", "import aws_cdk", cwd=ROOT)),
            "and stagedoor.constructs": Side(
                lambda: _python("-c", "import aws_cdk; import stagedoor.constructs", cwd=ROOT)
            ),
        },
        rounds,
    )
    result = ratio("import of our constructs", seconds, "and stagedoor.constructs", "import aws_cdk", IMPORT_BAR)
    return Row((result,), f"{IMPORT_HOW}\n{spread(seconds)}\n")


def synth(rounds: int) -> Row:
    """Measure the synth of the example beside that of the same app without us."""
    with tempfile.TemporaryDirectory(prefix="stagedoor-bench-") as place:
        ours = Path(place, "ours")
        shutil.copytree(OURS, ours, ignore=shutil.ignore_patterns("cdk.out", "__pycache__"))
        seconds = alternate(
            {
                "plain aws-cdk-lib": Side(lambda: _program(PLAIN, Path(place, "plain.out"))),
                "stagedoor.constructs": Side(lambda: _program(ours, Path(place, "ours.out"))),
            },
            rounds,
        )
        sizes = [_resources(Path(place, out)) for out in ("ours.out", "plain.out")]
    result = ratio("synth of the example", seconds, "stagedoor.constructs", "plain aws-cdk-lib", SYNTH_BAR)
    counted = Result("resources of the example", sizes[0], "resources", "", True, f"plain aws-cdk-lib: {sizes[1]}")
    return Row((result, counted), f"{SYNTH_HOW}\n{spread(seconds)}\n")


def _program(app: Path, output: Path) -> None:
    shutil.rmtree(output, ignore_errors=True)
    _python("app.py", cwd=app, CDK_OUTDIR=str(output))


def _resources(output: Path) -> int:
    return len(json.loads((output / "Shortener.template.json").read_text())["Resources"])


def _python(*words: str, cwd: Path, **variables: str) -> None:
    told = {"CDK_VALIDATION": "false", "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20,22"}
    environment = {**os.environ, **told, "PYTHONPATH": str(ROOT), **variables}
    subprocess.run([sys.executable, *words], cwd=cwd, env=environment, check=True, capture_output=True)
