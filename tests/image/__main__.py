"""`make image-check`: build the image, start each role in it, and tell the whole story of a pull request in it.

Minutes, root, and Debian's buildah, runc and debootstrap: so it is no part of the suite.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from demo.cloud import Cloud
from demo.service import Service
from demo.story import Story
from demo.telling import Teller
from tests.image.container import NEEDED, TREE, USER, Container, Images, Mounted, container

SETTINGS = {
    "STAGEDOOR_GITHUB_APP_ID": "1",
    "STAGEDOOR_GITHUB_PRIVATE_KEY": "a key",
    "STAGEDOOR_GITHUB_WEBHOOK_SECRETS": "a-secret-of-the-image-check",
    "STAGEDOOR_HOST": "127.0.0.1",
}
PATIENCE, STOP = 60.0, 35.0


def check_tools(image: Mounted, folder: Path, *, has: bool) -> None:
    """See that workers have what they need and that a front door has no tool that a stranger's code could use."""
    look = "for tool in git node npm uv; do command -v $tool; done; touch /opt/here"
    one = container(folder, image, ["sh", "-c", look], {})
    done = subprocess.run(one.command, capture_output=True, text=True, check=False)
    found = {Path(line).name for line in done.stdout.split()}
    expect(found == ({"git", "node", "npm", "uv"} if has else set()), f"tools: {found}")
    expect("Read-only file system" in done.stderr, f"the root can be written: {done.stderr}")


def check_role(image: Mounted, folder: Path, data: Path, command: Sequence[str]) -> None:
    """Start a role, wait until its health check is content, stop it, and see that it ends well in time."""
    settings = {**SETTINGS, "STAGEDOOR_DATA_DIR": str(data)}
    one = container(folder, image, ["stagedoor", *command], settings, [data])
    running = subprocess.Popen(one.command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    began = time.monotonic()
    while "well" not in one.inside("python", "-m", "service.health").stdout:
        if running.poll() is not None or time.monotonic() - began > PATIENCE:
            running.kill()
            raise SystemExit(f"{command} does not get well:\n{running.communicate()[1]}")
        time.sleep(0.5)
    well = time.monotonic() - began
    expect(identity(one) == f"{USER} {USER} 0000000000000000", f"runs as {identity(one)}")
    began = time.monotonic()
    running.terminate()
    _, said = running.communicate(timeout=STOP)
    expect(running.returncode == 0, f"{command} ended with {running.returncode}:\n{said}")
    print(f"{' '.join(command)}: well after {well:.1f} s, stopped in {time.monotonic() - began:.1f} s")


def identity(one: Container) -> str:
    """Return user, group and effective capabilities of what runs."""
    return one.inside("sh", "-c", "echo $(id -u) $(id -g) $(sed -n 's/CapEff:\\t//p' /proc/1/status)").stdout.strip()


def tell_story(image: Mounted, folder: Path) -> None:
    """Tell the demo's story with `stagedoor serve` in the image."""
    state = folder / "story"
    state.mkdir(mode=0o755)
    os.environ |= {
        "IMAGE_FOLDER": str(folder),
        "IMAGE_ROOT": str(image.root),
        "IMAGE_ENVIRONMENT": json.dumps(dict(image.environment)),
    }
    launcher = folder / "stagedoor"
    launcher.write_text(f'#!/bin/sh\ncd {TREE} && exec {sys.executable} -m tests.image.container "$@"\n')
    launcher.chmod(0o755)
    Service.command = (str(launcher),)
    with Cloud(state) as cloud:
        Story(cloud, Teller()).tell()


def expect(condition: bool, message: str) -> None:
    """End with a message where something does not hold."""
    if not condition:
        raise SystemExit(message)


def main() -> None:
    """Check everything. The folder that is named as argument is kept, so that the next check builds faster."""
    if missing := [tool for tool in NEEDED if shutil.which(tool) is None]:
        raise SystemExit(f"image-check needs {', '.join(missing)} and root")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="image-check-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    images = Images(folder)
    images.make_bases()
    try:
        check(images, Path(tempfile.mkdtemp(dir=folder, prefix="bundles-")))
    finally:
        images.close()


def check(images: Images, bundles: Path) -> None:
    """Build both targets and try them; what is written goes below `bundles`."""
    whole, front = images.build("stagedoor", TREE), images.build("front", TREE)
    print(f"stagedoor: {whole.size / 1e6:.0f} MB, front: {front.size / 1e6:.0f} MB, uncompressed")
    check_tools(whole, bundles, has=True)
    check_tools(front, bundles, has=False)
    data = bundles / "shared"
    data.mkdir()
    os.chown(data, USER, USER)
    for image, command in ((front, ["web"]), (front, ["relay"]), (whole, ["worker"]), (whole, ["all"])):
        check_role(image, bundles, data, command)
    tell_story(whole, bundles)


if __name__ == "__main__":
    main()
