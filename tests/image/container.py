"""The image, built and run without Docker: buildah and runc, a read-only root, no capability, not root.

The bases that the Dockerfile names cannot be had everywhere. What stands in for them is made by debootstrap of Debian's
packages and this machine's Node, so every instruction of the Dockerfile is tested, on another build of Python.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

TREE = Path(__file__).resolve().parents[2]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
NEEDED = ("buildah", "runc", "debootstrap", "node", "npm")
USER = 10001
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Mounted:
    """An image that can be run: where its file system is, its environment and the bytes of its files."""

    root: Path
    environment: Mapping[str, str]

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return int(subprocess.check_output(["du", "--summarize", "--bytes", self.root], text=True).split()[0])


class Images:
    """Images below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make_bases(self) -> None:
        """Make what stands in for `python:3.11-slim-bookworm` and `node:24-bookworm-slim`, unless they are there."""
        if "localhost/node-base" in self._buildah("images", "--format", "{{.Name}}"):
            return
        debian = self._folder / "debian"
        packages = "ca-certificates,python3,python3-venv,python3-pip,netbase,tzdata"
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", debian], check=True)
        shutil.copy(CERTIFICATES, debian / CERTIFICATES[1:])
        for name, target in (("python3", "/usr/bin/python3.11"), ("python", "python3"), ("pip", "/usr/bin/pip3")):
            (debian / "usr/local/bin" / name).symlink_to(target)
        variables = {"PATH": _PATH, "LANG": "C.UTF-8", "PIP_CERT": CERTIFICATES}
        self._image_of(debian, "python-base", variables)
        node = self._folder / "node"
        (node / "usr/local/bin").mkdir(parents=True)
        shutil.copy(shutil.which("node") or "", node / "usr/local/bin/node")
        npm = Path(os.path.realpath(shutil.which("npm") or "")).parents[1]
        shutil.copytree(npm, node / "usr/local/lib/node_modules/npm", symlinks=True)
        self._image_of(node, "node-base", {})

    def build(self, target: str, tree: Path) -> Mounted:
        """Build a target of the tree's Dockerfile and mount what came of it."""
        bases = ("--build-arg", "PYTHON_IMAGE=localhost/python-base", "--build-arg", "NODE_IMAGE=localhost/node-base")
        how = ("--isolation", "chroot", "--format", "docker", "--layers", "--target", target)
        self._buildah("bud", *how, *bases, "--tag", f"localhost/{target}", tree)
        container = self._buildah("from", f"localhost/{target}").split()[-1]
        configuration = json.loads(self._buildah("inspect", container))["Docker"]["config"]
        environment = dict(variable.split("=", 1) for variable in configuration["Env"])
        return Mounted(Path(self._buildah("mount", container).strip()), environment)

    def close(self) -> None:
        """Unmount what was mounted; the images stay, for the next time."""
        self._buildah("rm", "--all")

    def _buildah(self, *arguments: str | Path) -> str:
        store = ("--storage-driver", "overlay", "--root", self._folder / "root", "--runroot", self._folder / "run")
        return subprocess.run(["buildah", *store, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout

    def _image_of(self, folder: Path, name: str, variables: Mapping[str, str]) -> None:
        container = self._buildah("from", "scratch").strip()
        self._buildah("copy", "-q", container, folder, "/")
        for key, value in variables.items():
            self._buildah("config", "--env", f"{key}={value}", container)
        self._buildah("commit", "-q", container, f"localhost/{name}")
        self._buildah("rm", container)


@dataclass(frozen=True, slots=True)
class Container:
    """A container that is to be run by `command`; its bundle is below `folder`."""

    name: str
    folder: Path

    @property
    def _runc(self) -> list[str]:
        return ["runc", "--root", str(self.folder / "runc")]

    @property
    def command(self) -> list[str]:
        """What starts it, in the foreground; signals go on to its first process."""
        return [*self._runc, "run", "--bundle", str(self.folder / self.name), self.name]

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another command in it."""
        return subprocess.run([*self._runc, "exec", self.name, *command], capture_output=True, text=True, check=False)


def container(
    folder: Path, image: Mounted, command: Sequence[str], environment: Mapping[str, str], shared: Sequence[Path] = ()
) -> Container:
    """Write the bundle of a container into `folder`.

    It sees `shared` under the same paths and can write there, to /tmp and to /data; to nothing else. The network is
    this machine's: the local AWS and GitHub are on loopback.
    """
    here = folder / uuid4().hex[:8]
    (here / "data").mkdir(parents=True)
    os.chown(here / "data", USER, USER)
    in_memory = ["nosuid", "nodev", "mode=1777"]
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": in_memory},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": in_memory},
        _bind(here / "data", "/data"),
        _bind(Path("/etc/resolv.conf"), "/etc/resolv.conf", "ro"),
        *(_bind(each, str(each)) for each in shared),
    ]
    process = {
        "user": {"uid": USER, "gid": USER},
        "args": [*command],
        "env": [f"{name}={value}" for name, value in {**image.environment, **environment}.items()],
        "cwd": "/opt/stagedoor",
        "noNewPrivileges": True,
        "capabilities": {},
    }
    document = {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": str(image.root), "readonly": True},
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    (here / "config.json").write_text(json.dumps(document))
    return Container(here.name, folder)


def _bind(source: Path, destination: str, *options: str) -> dict[str, object]:
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["rbind", *options]}


def launch() -> None:
    """Be what the demo starts in place of `stagedoor`: run it, with our arguments, in the image that IMAGE_… name."""
    image = Mounted(Path(os.environ["IMAGE_ROOT"]), json.loads(os.environ["IMAGE_ENVIRONMENT"]))
    state = Path(os.environ["STAGEDOOR_DATA_DIR"]).parent
    for path in [state, *state.rglob("*")]:
        os.chown(path, USER, USER, follow_symlinks=False)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("STAGEDOOR_", "AWS_"))}
    settings = {**kept, "STAGEDOOR_HOST": "127.0.0.1"}
    one = container(Path(os.environ["IMAGE_FOLDER"]), image, ["stagedoor", *sys.argv[1:]], settings, [state])
    os.execvp(one.command[0], one.command)


if __name__ == "__main__":
    launch()
