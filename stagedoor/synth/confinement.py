"""What parts a stranger's command from us on this machine: which means the kernel grants, and what the command is left.

A command is run with all that kernels grant, or it is not run. Where this kernel grants less, which is found out once,
it is run with all of that.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stagedoor.synth import landlock, launcher, launching

_PR_SET_DUMPABLE = 4

_WRITABLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")

_SYSTEM_PATHS = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/proc", "/dev/random", "/dev/urandom"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/ca-certificates"),
    *("/etc/alternatives", "/etc/ld.so.conf.d", "/run/systemd/resolve", "/run/resolvconf"),
)

_KEPT = ("LANG", "LC_ALL", "TZ")

_CERTIFICATES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"),
    *("NIX_SSL_CERT_FILE",),
)

KEPT_FOR_REGISTRIES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "NPM_CONFIG_REGISTRY", "npm_config_registry"),
    *("PIP_DEFAULT_TIMEOUT", "UV_HTTP_TIMEOUT"),
    *_CERTIFICATES,
)
"""What a package manager needs to reach its registry from here. An operator who keeps a password in one of them shows
it to whatever an installation runs."""

_REGISTRY_URLS = tuple(
    name for name in KEPT_FOR_REGISTRIES if name.lower().endswith(("_proxy", "_url", "index", "registry"))
)
_DNS, _HTTPS = 53, 443


@dataclass(frozen=True, slots=True)
class Granted:
    """What this kernel grants this user: namespaces of processes, of the network too, and which Landlock (0: none)."""

    namespaces: bool
    network: bool
    landlock: int


def granted() -> Granted:
    """Return what can be had: all of it, until a command could not be confined with it (`find_granted`)."""
    if sys.platform != "linux" or find_granted.cache_info().currsize:
        return find_granted()
    return Granted(True, True, landlock.abi())


@functools.cache
def find_granted() -> Granted:
    """Try what can be had, once in the life of this process: `granted` says it from then on.

    To try it takes as long as to start a command, so it is left until one could not be confined.
    """
    version = landlock.abi() if sys.platform == "linux" else 0
    for namespaces, network in ((True, True), (True, False)):
        if sys.platform == "linux" and _works(namespaces, network):
            return Granted(namespaces, network, version)
    return Granted(False, False, version)


def shield_this_process() -> None:
    """Keep others of our own uid from reading our memory and environment through `/proc`.

    The mark belongs to the process and is lost at exec: each process of the service calls this when it starts.
    Source: PR_SET_DUMPABLE in prctl(2), and "Ptrace access mode checking" in ptrace(2).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def environment(ours: Mapping[str, str], scratch: Path, *, registry: bool) -> dict[str, str]:
    """Return a command's environment: made from nothing, with what is named above taken over from `ours`."""
    names = (*_KEPT, *(KEPT_FOR_REGISTRIES if registry else _CERTIFICATES))
    kept = {name: ours[name] for name in names if name in ours}
    tools = [str(Path(node).parent)] if (node := shutil.which("node", path=ours.get("PATH"))) else []
    path = ":".join(dict.fromkeys([*tools, "/usr/local/bin", "/usr/bin", "/bin"]))
    return {"LANG": "C.UTF-8", **kept, "PATH": path, "HOME": str(scratch), "TMPDIR": str(scratch)}


def system_paths(env: Mapping[str, str]) -> list[str]:
    """Return what any command may read: the system's programs and libraries, this Python, Node, and certificates."""
    runtimes = {sys.base_prefix, sys.base_exec_prefix}
    if node := shutil.which("node", path=env["PATH"]):
        runtimes.add(str(Path(node).resolve().parents[1]))
    certificates = {env[name] for name in _CERTIFICATES if name in env}
    return [*_SYSTEM_PATHS, *_public_files(Path("/etc")), *sorted(runtimes - {"/"}), *sorted(certificates)]


def _public_files(folder: Path) -> list[str]:
    """Return the files of a folder that every user may read: names of hosts, users and releases, but no passwords."""
    found = (entry for entry in os.scandir(folder) if entry.is_file() and entry.stat().st_mode & 0o004)
    return sorted(entry.path for entry in found)


def writable_paths() -> list[str]:
    """Return what any command may write: devices that keep nothing, and shared memory where it has its own."""
    return [*_WRITABLE_DEVICES, *([launcher.SHARED_MEMORY] if granted().namespaces else [])]


def registry_ports(env: Mapping[str, str]) -> list[int]:
    """Return the TCP ports that lead to package registries: 443, and those that the environment's addresses name.

    Not 80, where clouds hand out credentials of the machine (169.254.169.254), and no database's or queue's.
    """
    ports = {_DNS, _HTTPS}
    for name in _REGISTRY_URLS:
        with_scheme = env.get(name, "")
        address = urlsplit(with_scheme if "//" in with_scheme else f"//{with_scheme}")
        try:
            port = address.port
        except ValueError:
            port = None
        if port:
            ports.add(port)
    return sorted(ports)


def _works(namespaces: bool, network: bool) -> bool:
    reading, writing = os.pipe()
    spec = launching.Spec(
        argv=["true"], cwd="/", env={"PATH": "/usr/bin:/bin"}, failures=writing, parent=os.getpid(),
        namespaces=namespaces, network=not network, landlock=False, user=None, readable=[], writable=[],
        ports=None, data_bytes=1 << 40, file_bytes=1 << 40, tasks=None,
    )  # fmt: skip
    with os.fdopen(reading, "rb") as failed, os.fdopen(writing, "wb"):
        tried = subprocess.run(
            launching.command_line(), input=launching.dump(spec), env={}, pass_fds=(writing,), capture_output=True,
            timeout=20, check=False,
        )  # fmt: skip
        os.set_blocking(failed.fileno(), False)
        return tried.returncode == 0 and not failed.read()
