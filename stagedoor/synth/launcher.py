"""The process between us and a stranger's command: it gives up what the command must not have, then runs it.

Started as a program of its own (`launching.py`), since what it does to itself cannot be undone and must not be done
between fork and exec of a process with threads. It reads a `Spec` from its standard input, writes to the descriptor
`spec.failures` only when the command could not be confined as asked, and ends with the command's status
(128 + n for signal n). Whatever the command leaves running dies with it, and dies when we are killed.
Linux for all but the limits. Standard library only, and of that what loads at once: each synth waits for it.
Sources: prctl(2), pid_namespaces(7), user_namespaces(7), capabilities(7).
"""

import ctypes
import fcntl
import marshal
import os
import resource
import signal
import struct
import sys
from types import SimpleNamespace

from stagedoor.synth import landlock
from stagedoor.synth.processes import kill_descendants

TYPE_CHECKING = False  # the module `typing` takes longer to load than to confine a process
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 16384, 1 << 18
_CAPABILITY_VERSION_3 = 0x20080522
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a mount of the command's own
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_AF_INET, _SOCK_DGRAM = 2, 2


def main() -> "NoReturn":
    """Confine this process as the spec on standard input says and become its command's keeper."""
    spec = SimpleNamespace(**marshal.load(sys.stdin.buffer))  # noqa: S302 - from the process that started this one
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.set_inheritable(spec.failures, False)
    try:
        _die_with(spec.parent)
        if spec.namespaces:
            _unshare(spec)
            keeper = os.fork()
            if keeper:
                _exit_as(os.waitpid(keeper, 0)[1])
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            _mount_own_view()
        _confine(spec)
    except OSError as problem:
        os.write(spec.failures, f"{type(problem).__name__}: {problem}".encode())
        os._exit(1)
    _keep(spec)


def _die_with(parent: int) -> None:
    """End, with all that was started, when the process that started us ends, however it ends."""
    if sys.platform != "linux":
        return

    def stop(_signal: int, _frame: "FrameType | None") -> None:
        kill_descendants(os.getpid())
        os._exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _unshare(spec: SimpleNamespace) -> None:
    flags = _NEWNS | _NEWPID | _NEWIPC | (0 if spec.network else _NEWNET)
    uid, gid = os.getuid(), os.getgid()
    if uid != 0:
        flags |= _NEWUSER
    _check(_libc().unshare(flags), "unshare")
    if uid != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    if not spec.network:
        any_socket = _libc().socket(_AF_INET, _SOCK_DGRAM, 0)
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
        os.close(any_socket)


def _mount_own_view() -> None:
    """Show the command its own processes only, and give it shared memory of its own (Python's locks live there)."""
    libc = _libc()
    _check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount /")
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _check(libc.mount(b"proc", b"/proc", b"proc", flags, None), "mount /proc")
    if os.path.isdir(SHARED_MEMORY):
        _check(libc.mount(b"tmpfs", SHARED_MEMORY.encode(), b"tmpfs", flags, b"size=64m,mode=1777"), "mount /dev/shm")


def _confine(spec: SimpleNamespace) -> None:
    os.umask(0o022)
    os.nice(spec.niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_FSIZE, spec.file_bytes)
    if sys.platform != "linux":
        return
    _limit(resource.RLIMIT_DATA, spec.data_bytes)
    if spec.tasks is not None:
        _limit(resource.RLIMIT_NPROC, spec.tasks)
    _drop_capability_bounds()
    if spec.user is not None:
        os.setgroups([])
        os.setresgid(spec.user, spec.user, spec.user)
        os.setresuid(spec.user, spec.user, spec.user)
        # A change of user forgets the signal.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if spec.namespaces else signal.SIGTERM)
    _drop_capabilities()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if spec.landlock:
        landlock.restrict(spec.readable, spec.writable, spec.ports)


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def _drop_capability_bounds() -> None:
    """Without this, uid 0 would get every capability back at exec."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for capability in range(last + 1):
        # Who has no CAP_SETPCAP has nothing to lose either: no_new_privs holds them.
        _libc().prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _drop_capabilities() -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc().capset(header, bytes(24)), "capset")


def _keep(spec: SimpleNamespace) -> "NoReturn":
    """Run the command, bury what it orphans, and end when it ends."""
    command = os.fork()
    if command == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            os.chdir(spec.cwd)
            os.execvpe(spec.argv[0], list(spec.argv), spec.env)  # noqa: S606 - this is what we are for
        except OSError as problem:
            os.write(2, f"{spec.argv[0]}: {problem.strerror}\n".encode())
        os._exit(127)
    while True:
        ended, status = os.wait()
        if ended == command:
            kill_descendants(os.getpid())
            _exit_as(status)


def _exit_as(status: int) -> "NoReturn":
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _prctl(option: int, value: int) -> None:
    _check(_libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
