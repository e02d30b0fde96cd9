"""Apps for jobs: they write their assemblies by hand, so a synth takes no time."""

from pathlib import Path

from tests.stagedoor.cli.command import TINY

ASSETS = """
import json, os, pathlib, stat
out = pathlib.Path(os.environ["CDK_OUTDIR"])
asset = out / "asset.code"
asset.mkdir()
(asset / "bootstrap").write_text("#!/bin/sh\\n")
(asset / "bootstrap").chmod(0o755)
(asset / ".hidden").write_text("kept")
(asset / "again").symlink_to("bootstrap")
source = {"path": "asset.code", "packaging": "zip"}
files = {"a" * 64: {"source": source, "destinations": {}}}
(out / "Tiny.assets.json").write_text(json.dumps({"version": "48.0.0", "files": files}))
"""
"""More of an assembly: an asset with what an artifact of GitHub's loses."""

HUNT = """
import json, os, pathlib, re, urllib.request
found = []
wanted = re.compile(r"gh[a-z]_[A-Za-z0-9_]{10,}|github_pat_|AKIA|ASIA|eyJ[a-zA-Z0-9]+|x-access-token|AWS_SECRET|ID_TOK")
def look(where, text):
    for hit in wanted.findall(text):
        found.append(f"{where}: {hit[:12]}")
for name, value in os.environ.items():
    look(f"environment {name}", f"{name}={value}")
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if os.stat(process).st_uid == os.getuid() and "MARK=%s" in (process / "environ").read_text():
            look(f"process {(process / 'comm').read_text().strip()}", (process / "environ").read_text())
            look("command line", (process / "cmdline").read_text())
    except (OSError, UnicodeDecodeError):
        pass
places = [pathlib.Path("..").resolve(), pathlib.Path.home() / ".aws", pathlib.Path.home() / ".config" / "gh"]
for place in places:
    for file in place.rglob("*") if place.is_dir() else ():
        if file.is_file() and "/app.py" not in str(file) and file.stat().st_size < 1_000_000:
            look(f"file {file.name}", file.read_text(errors="replace"))
for address in ("http://169.254.169.254/latest/meta-data/", "http://169.254.170.2/"):
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=0.3)
        found.append(f"metadata {address}")
    except OSError:
        pass
print("FOUND", json.dumps(found))
"""
"""A program that looks for credentials: in its environment, files, other processes and the metadata services.
Of processes only its own job's: a runner has no others, this machine has."""


def put_app(folder: Path, more: str = "") -> Path:
    """Make a folder an app's; `more` is what its program does besides."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cdk.json").write_text('{"app": "python3 app.py"}')
    text = TINY + more
    for name, usual in (("ACCOUNT", "unknown-account"), ("REGION", "unknown-region")):
        text = text.replace(f"os.environ['CDK_DEFAULT_{name}']", f"os.environ.get('CDK_DEFAULT_{name}', '{usual}')")
    (folder / "app.py").write_text(text)
    (folder / "word").write_text("hello")
    return folder
