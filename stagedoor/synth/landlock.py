"""Landlock: a process gives up files and ports for itself and all its children, without any privilege.

It also keeps a confined process from tracing one outside, and so from reading another's `/proc/PID/environ`.
Standard library only, and what loads at once: the launcher imports it. Sources:
https://docs.kernel.org/userspace-api/landlock.html and `include/uapi/linux/landlock.h`.
"""

import ctypes
import os
import stat
import struct

TYPE_CHECKING = False  # as in `launcher.py`
if TYPE_CHECKING:
    from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_IOCTL_DEV = 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | _IOCTL_DEV
_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many of the file rights, counted from bit 0, an ABI knows: refer came with 2, truncate with 3, ioctl with 5."""
_CONNECT_TCP = 1 << 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1


def abi() -> int:
    """Return the version of Landlock in this kernel, 0 where there is none."""
    try:
        return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)))
    except (OSError, AttributeError):
        return 0


def restrict(readable: "Iterable[str]", writable: "Iterable[str]", ports: "Iterable[int] | None") -> None:
    """Let this process and its children read only `readable` and change only `writable`, for good.

    A path stands for all that is below it; one that does not exist is passed over. `ports` are those that TCP may
    connect to; None leaves the network as it is (so does a kernel before ABI 4). Needs `PR_SET_NO_NEW_PRIVS`.
    Raises `OSError` when the kernel refuses.
    """
    version = abi()
    rights = (1 << _RIGHTS_BY_ABI[min(version, 5)]) - 1
    network = _CONNECT_TCP if ports is not None and version >= 4 else 0
    scopes = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if version >= 6 else 0
    attributes = struct.pack("=QQQ", rights, network, scopes)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path in readable:
            _allow_path(ruleset, path, rights & _READ)
        for path in writable:
            _allow_path(ruleset, path, rights)
        for port in (ports or ()) if network else ():
            _call(_ADD_RULE, ruleset, _RULE_NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what cannot be opened by us is not opened by it either
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _FILE_RIGHTS
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc().syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
