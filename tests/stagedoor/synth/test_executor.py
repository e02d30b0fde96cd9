"""What a hostile command can do to us: nothing, and each thing that it tries has its own error."""

import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagedoor.errors import Cancelled
from stagedoor.synth import confinement, launching
from stagedoor.synth.executor import (
    LINE_LIMIT,
    Command,
    Completed,
    Limits,
    LocalProcessExecutor,
    PrintedTooMuch,
    StartedTooManyProcesses,
    TookTooLong,
    UsedTooMuchMemory,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means of confinement are Linux's")
ROOT = Path(__file__).parents[3]
PYTHON = str(Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}"))
MARK = f"stagedoor-test-{os.getpid()}"


def run(folder: Path, script: str, limits: Limits | None = None, **more) -> tuple[Completed, list[str]]:
    lines: list[str] = []
    command = Command("synth", ("/bin/sh", "-c", script), folder, writable=(folder,), **more)
    return LocalProcessExecutor(limits).run(command, lines.append), lines


def still_running(mark: str) -> bool:
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in cmdline.read_bytes() and int(cmdline.parent.name) != os.getpid():
                return True
        except OSError:
            continue
    return False


def gone(mark: str, within: float = 3) -> bool:
    deadline = time.monotonic() + within
    while still_running(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_the_status_and_each_line_of_both_outputs_come_back(tmp_path):
    completed, lines = run(tmp_path, "echo one; echo two >&2; printf three; exit 7")
    assert completed.status == 7
    assert lines == ["one", "two", "three"]


def test_a_command_goes_behind_the_service_that_shares_its_machine(tmp_path):
    _, lines = run(tmp_path, "nice")
    assert int(lines[0]) == min(os.nice(0) + 10, 19)


def test_lines_arrive_while_the_command_still_runs(tmp_path):
    arrived: list[float] = []
    started = time.monotonic()
    command = Command("synth", ("/bin/sh", "-c", "echo first; sleep 0.8; echo second"), tmp_path, writable=(tmp_path,))
    LocalProcessExecutor().run(command, lambda _line: arrived.append(time.monotonic() - started))
    assert arrived[1] - arrived[0] > 0.6


def test_a_program_that_does_not_exist_is_status_127(tmp_path):
    completed = LocalProcessExecutor().run(
        Command("synth", ("no-such-program",), tmp_path, readable=(tmp_path,)), print
    )
    assert completed.status == 127


def test_a_signal_shows_as_a_shell_shows_it(tmp_path):
    assert run(tmp_path, "kill -9 $$")[0].status == 128 + signal.SIGKILL


def test_the_environment_holds_nothing_of_the_service(tmp_path, monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "STAGEDOOR_DATABASE_URL", "DATABASE_URL", "GITHUB_TOKEN", "SECRET_OF_MINE"):
        monkeypatch.setenv(name, "leaked")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:leaked@proxy.example:3128")
    _, lines = run(tmp_path, "env")
    assert not [line for line in lines if "leaked" in line]
    assert {line.split("=")[0] for line in lines} >= {"PATH", "HOME", "TMPDIR", "LANG"}


@linux_only
def test_our_environment_cannot_be_read_through_proc(tmp_path, monkeypatch):
    secret = f"{MARK}-secret"
    holder = subprocess.Popen(["sleep", "30"], env={"SECRET": secret})
    try:
        _, lines = run(tmp_path, f"cat /proc/*/environ 2>/dev/null; cat /proc/{holder.pid}/environ")
    finally:
        holder.kill()
        holder.wait()
    assert secret not in "\n".join(lines)


SHIELD = f"""
import os, subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from stagedoor.synth.confinement import shield_this_process
if sys.argv[1] == "True":
    shield_this_process()
subprocess.run(["cat", f"/proc/{{os.getpid()}}/environ"])
"""


@linux_only
@pytest.mark.parametrize("shielded", [True, False])
def test_a_process_that_shields_itself_cannot_be_read_by_its_own_user(tmp_path, shielded):
    (tmp_path / "shield.py").write_text(SHIELD)
    # Run without capabilities, as a service should be: a root with all of them reads everything.
    _, lines = run(tmp_path, f"{PYTHON} shield.py {shielded}", readable=(ROOT,), env={"SECRET": f"{MARK}-env"})
    assert (f"{MARK}-env" in "\n".join(lines)) is not shielded


@linux_only
def test_files_that_were_not_given_can_be_neither_read_nor_written(tmp_path):
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "credentials").write_text("leaked")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    _, lines = run(theirs, f"cat {ours}/credentials; ls {ours}; echo x > {ours}/new; echo kept > {theirs}/new")
    assert "leaked" not in "\n".join(lines)
    assert not (ours / "new").exists()
    assert (theirs / "new").read_text() == "kept\n"


@linux_only
def test_what_is_only_readable_stays_as_it_is(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "module.py").write_text("good\n")
    folder = tmp_path / "app"
    folder.mkdir()
    _, lines = run(
        folder, f"cat {shared}/module.py; echo bad > {shared}/module.py; rm -rf {shared}", readable=(shared,)
    )
    assert lines[0] == "good"
    assert (shared / "module.py").read_text() == "good\n"


DIAL = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
    print("connected")
except OSError as problem:
    print("refused")
"""


@linux_only
@pytest.mark.parametrize("namespaces", [True, False])
def test_only_what_needs_a_registry_has_a_network_and_it_leads_to_registries_only(tmp_path, monkeypatch, namespaces):
    if not namespaces:
        without = confinement.Granted(False, False, confinement.granted().landlock)
        monkeypatch.setattr(confinement, "granted", lambda: without)
    (tmp_path / "dial.py").write_text(DIAL)
    with socket.create_server(("127.0.0.1", 0)) as database, socket.create_server(("127.0.0.1", 0)) as registry:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{registry.getsockname()[1]}/simple")

        def dial(server: socket.socket, *, network: bool) -> list[str]:
            return run(tmp_path, f"{PYTHON} dial.py {server.getsockname()[1]}", network=network)[1]

        assert dial(registry, network=True) == ["connected"]
        assert dial(database, network=True) == ["refused"]
        assert dial(registry, network=False) == ["refused"]


def test_a_command_that_takes_too_long_is_ended(tmp_path):
    started = time.monotonic()
    with pytest.raises(TookTooLong, match=r"longer than 0\.5 seconds"):
        run(tmp_path, f"sleep 30; echo {MARK}-slow", Limits(seconds=0.5))
    assert time.monotonic() - started < 5
    assert gone(f"{MARK}-slow")


def test_a_command_that_closes_its_output_is_still_timed(tmp_path):
    with pytest.raises(TookTooLong):
        run(tmp_path, f"exec >/dev/null 2>&1; sleep 30; : {MARK}-closed", Limits(seconds=0.5))
    assert gone(f"{MARK}-closed")


@linux_only
def test_a_command_that_hoards_memory_is_ended(tmp_path):
    hog = tmp_path / "hog.py"
    hog.write_text("import time\nkept = []\nwhile True:\n    kept.append(b'x' * 10_000_000)\n    time.sleep(0.005)\n")
    with pytest.raises(UsedTooMuchMemory, match="256 MiB"):
        run(tmp_path, f"for i in 1 2 3; do {PYTHON} {hog} & done; wait", Limits(memory=256 * 1024**2))


@linux_only
def test_node_starts_under_the_limit_of_memory(tmp_path):
    completed, lines = run(tmp_path, "node -e 'console.log(1 + 1)'", Limits(memory=1024**3))
    assert (completed.status, lines) == (0, ["2"])


@linux_only
def test_a_fork_bomb_is_ended(tmp_path):
    bomb = tmp_path / "bomb.py"
    # Bounded, should the limit fail: five generations, each doubling after a pause.
    bomb.write_text(
        "import os, time\nfor _ in range(9):\n    os.fork()\n    time.sleep(0.02)\ntime.sleep(20)\n"
        + f"# {MARK}-bomb\n"
    )
    with pytest.raises(StartedTooManyProcesses, match="more than 40 processes"):
        run(tmp_path, f"{PYTHON} {bomb} {MARK}-bomb", Limits(processes=40))
    assert gone(f"{MARK}-bomb")


def test_a_command_that_prints_without_end_is_ended(tmp_path):
    counted = 0

    def count(_line: str) -> None:
        nonlocal counted
        counted += 1

    command = Command("synth", ("/bin/sh", "-c", "yes | head -c 100000000"), tmp_path, writable=(tmp_path,))
    with pytest.raises(PrintedTooMuch, match="1 MiB"):
        LocalProcessExecutor(Limits(output=1024**2)).run(command, count)
    assert counted <= 1024**2


def test_a_line_without_end_is_cut_and_takes_no_memory(tmp_path):
    _, lines = run(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo after")
    assert len(lines[0]) == LINE_LIMIT + len(" …")
    assert lines[1] == "after"


def test_a_file_without_end_is_cut(tmp_path):
    completed, _ = run(tmp_path, "head -c 3000000 /dev/zero > big", Limits(file_size=1_000_000))
    assert completed.status != 0
    assert (tmp_path / "big").stat().st_size <= 1_000_000


def test_a_daemon_left_behind_is_ended_with_the_command(tmp_path):
    started = time.monotonic()
    completed, lines = run(tmp_path, f"(setsid sh -c 'sleep 60; : {MARK}-daemon' &) ; sleep 0.2; echo done")
    assert (completed.status, lines) == (0, ["done"])
    assert time.monotonic() - started < 10
    assert gone(f"{MARK}-daemon")


@linux_only
def test_the_command_dies_with_us_when_we_are_killed(tmp_path):
    program = f"""
        from pathlib import Path
        from stagedoor.synth.executor import Command, LocalProcessExecutor
        folder = Path({str(tmp_path)!r})
        script = "touch started; (setsid sleep 60 &); sleep 60; : {MARK}-orphan"
        LocalProcessExecutor().run(Command("synth", ("/bin/sh", "-c", script), folder, writable=(folder,)), print)
    """
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    deadline = time.monotonic() + 10
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "started").exists()
    worker.kill()
    worker.wait()
    assert gone(f"{MARK}-orphan")


def test_whoever_listens_can_stop_the_command(tmp_path):
    class Stopped(Exception):
        pass

    def stop(_line: str) -> None:
        raise Stopped

    command = Command("synth", ("/bin/sh", "-c", f"echo x; sleep 60; : {MARK}-stopped"), tmp_path, writable=(tmp_path,))
    with pytest.raises(Stopped):
        LocalProcessExecutor().run(command, stop)
    assert gone(f"{MARK}-stopped")


def test_a_silent_command_is_stopped_when_nobody_wants_it_any_more(tmp_path):
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.5:
            raise Cancelled

    command = Command("synth", ("/bin/sh", "-c", f"sleep 60; : {MARK}-silent"), tmp_path, writable=(tmp_path,))
    with pytest.raises(Cancelled):
        LocalProcessExecutor(check=check).run(command, print)
    assert time.monotonic() - began < 5
    assert gone(f"{MARK}-silent")


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="stagedoor-test-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@linux_only
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_as_a_user_of_its_own_it_owns_only_what_it_may_change(public_folder):
    folder = public_folder / "app"
    folder.mkdir()
    (folder / "file").write_text("")
    lines: list[str] = []
    command = Command("synth", ("/bin/sh", "-c", "id -u; echo x > file && echo written"), folder, writable=(folder,))
    LocalProcessExecutor(user=64_123).run(command, lines.append)
    assert lines == ["64123", "written"]


@linux_only
@pytest.mark.parametrize("missing", ["namespaces", "landlock"])
def test_without_one_of_the_kernels_means_the_others_still_hold(tmp_path, monkeypatch, missing):
    had = confinement.granted()
    less = (
        confinement.Granted(False, False, had.landlock)
        if missing == "namespaces"
        else confinement.Granted(had.namespaces, had.network, 0)
    )
    monkeypatch.setattr(confinement, "granted", lambda: less)
    holder = subprocess.Popen(["sleep", "30"], env={"SECRET": f"{MARK}-kept"})
    try:
        script = (
            f"cat /proc/{holder.pid}/environ; (setsid sh -c 'sleep 60; : {MARK}-{missing}' &); sleep 0.2; echo done"
        )
        completed, lines = run(tmp_path, script)
    finally:
        holder.kill()
        holder.wait()
    assert completed.status == 0
    assert f"{MARK}-kept" not in "\n".join(lines)
    assert gone(f"{MARK}-{missing}")


@linux_only
def test_a_kernel_that_grants_less_than_most_is_found_out_by_the_first_command(tmp_path, monkeypatch):
    less = confinement.Granted(False, False, confinement.granted().landlock)
    monkeypatch.setattr(confinement, "find_granted", functools.cache(confinement.find_granted.__wrapped__))
    monkeypatch.setattr(confinement, "_works", lambda *_: False)
    argv = without_namespaces(launching.command_line())
    monkeypatch.setattr(launching, "command_line", lambda: argv)
    completed, lines = run(tmp_path, "echo confined")
    assert (completed.status, lines) == (0, ["confined"])
    assert confinement.granted() == less


def without_namespaces(argv: list[str]) -> list[str]:
    """Return a launcher's command line, on a kernel that grants no namespaces."""
    *before, program = argv
    refuse = "import stagedoor.synth.launcher as launcher; launcher._unshare = lambda _: launcher._check(1, 'unshare')"
    return [*before, program.replace("; from", f"; {refuse}; from")]
