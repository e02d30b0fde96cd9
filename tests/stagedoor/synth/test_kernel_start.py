"""What an earlier kernel of jsii left makes a later one faster, and nothing else.

That a synth with all of this gives the same assembly is tested in `test_warm.py`.
"""

import json
import shutil
import socket
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest

from stagedoor.synth import kernel_start
from stagedoor.synth.inside import START

PROGRAM = """
const fs = require("fs");
const path = require("path");
const library = require(path.join(__dirname, "node_modules", "aws-cdk-lib"));
try { fs.readSync(3, Buffer.alloc(1)); } catch {}
const files = Object.keys(require.cache).map((file) => path.relative(__dirname, file));
const loaded = files.filter((file) => file.startsWith("node_modules")).sort();
const env = Object.keys(process.env).filter((name) => name.startsWith("STAGEDOOR"));
console.log(JSON.stringify({ loaded, ...library.tell(), args: process.execArgv, env }));
"""
INDEX = """exports.tell = () => {
  const { sum, where } = require("./lib/sum");
  return { sum: sum(1, 2), where, main: require.main.filename, here: __filename };
};
"""
SUM = """exports.sum = (a, b) => a + b; exports.where = new Error("a").stack.split("\\n")[1].split("node_modules")[1];
require.resolve("../index.js");
"""
THREAD = """
const { Worker } = require("worker_threads");
const thread = new Worker('require("worker_threads").parentPort.postMessage("index")', { eval: true });
thread.on("message", console.log).on("error", (error) => console.log(String(error)));
"""
OTHER = "exports.imports = (name) => import(name);"
INDEX_FILE, SUM_FILE = "node_modules/aws-cdk-lib/index.js", "node_modules/aws-cdk-lib/lib/sum.js"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A package as jsii unpacks it into an environment, and a kernel that is linked to it."""
    package = tmp_path / "jsii" / "aws-cdk-lib"
    (package / "lib").mkdir(parents=True)
    (package / "index.js").write_text(INDEX)
    (package / "lib" / "sum.js").write_text(SUM)
    (package / "lib" / "other.js").write_text(OTHER)
    return tmp_path


def told(environment: Path, name: str, *, keep: bool = False) -> dict[str, object]:
    """Run a kernel in a folder of its own, and return what it says."""
    folder = environment / name
    (folder / "node_modules").mkdir(parents=True)
    (folder / "node_modules" / "aws-cdk-lib").symlink_to(environment / "jsii" / "aws-cdk-lib")
    (folder / "program.js").write_text(PROGRAM)
    preloaded = START.with_name("kernel_start.js")
    done = subprocess.run(
        ["node", "--require", str(preloaded), "--preserve-symlinks", str(folder / "program.js")],
        env={"STAGEDOOR_KERNEL": str(environment / "kernel"), **({"STAGEDOOR_KERNEL_KEEP": "1"} if keep else {})},
        executable=shutil.which("node"),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    assert found.pop("main") == str(folder / "program.js")
    assert found.pop("here") == str(folder / "node_modules" / "aws-cdk-lib" / "index.js")
    return found


def test_a_thread_that_a_kernel_starts_does_its_work(tmp_path: Path):
    (tmp_path / "program.js").write_text(THREAD)
    done = subprocess.run(
        ["node", "--require", str(START.with_name("kernel_start.js")), str(tmp_path / "program.js")],
        env={"STAGEDOOR_KERNEL": str(tmp_path / "kernel"), "STAGEDOOR_KERNEL_KEEP": "1"},
        executable=shutil.which("node"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "index\n"


def test_a_kernel_loads_what_an_earlier_one_did_while_it_waits_and_leaves_nothing_behind(environment: Path):
    first = told(environment, "first", keep=True)
    assert first.pop("loaded") == [INDEX_FILE]
    assert first == {"sum": 3, "where": "/aws-cdk-lib/lib/sum.js:1:48)", "args": ["--preserve-symlinks"], "env": []}
    later = told(environment, "later")
    assert later.pop("loaded") == [INDEX_FILE, SUM_FILE]
    assert later == first


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xff\xff\xff", b"\x02\x00\x00\x00{}"], ids=["empty", "no end", "of others"]
)
def test_what_was_kept_and_cannot_be_read_is_as_if_it_were_not_there(environment: Path, damage: bytes):
    first = told(environment, "first", keep=True)
    (environment / "kernel" / "code").write_bytes(damage)
    assert told(environment, "later") == first


def test_code_that_v8_did_not_compile_itself_is_compiled_again(environment: Path):
    told(environment, "first", keep=True)
    kept = (environment / "kernel" / "code").read_bytes()
    head = 4 + int.from_bytes(kept[:4], "little")
    (environment / "kernel" / "code").write_bytes(kept[:head] + bytes(len(kept) - head))
    assert told(environment, "later")["sum"] == 3


def test_a_package_of_another_place_is_not_taken_for_the_one_whose_code_was_kept(environment: Path):
    told(environment, "first", keep=True)
    (environment / "jsii").rename(environment / "elsewhere")
    (environment / "elsewhere" / "aws-cdk-lib" / "lib" / "sum.js").write_text(SUM.replace("a + b", "a - b"))
    (environment / "jsii").mkdir()
    (environment / "jsii" / "aws-cdk-lib").symlink_to(environment / "elsewhere" / "aws-cdk-lib")
    assert told(environment, "later")["sum"] == -1


LOAD = b'{"name": "a", "version": "1", "api": "load"}\n'
CREATE = b'{"fqn": "a.B", "api": "create"}\n'


@pytest.fixture
def kernel(tmp_path: Path):
    """The far end of a channel, as a kernel has it, and what jsii asks by; a load of `a` is known to be good."""
    (tmp_path / "loads.json").write_text(json.dumps({LOAD.decode(): '{"ok":{"assembly":"a","types":1}}\n'}))
    ours, its = socket.socketpair()
    asking = kernel_start._Asking(ours, str(tmp_path / "loads.json"), keep=False)
    yield its, asking
    asking.close()
    asking.answers.close()
    its.close()
    ours.close()


def test_a_load_that_is_known_is_answered_before_the_kernel_has_done_it(kernel):
    its, asking = kernel
    asking.write(LOAD)
    asking.flush()
    assert json.loads(asking.answers.readline())["ok"]["assembly"] == "a"
    asking.write(CREATE)
    asking.flush()
    its.sendall(b'{"ok":{"assembly":"a","types":1}}\n{"ok":{"$jsii.byref":"a.B@1"}}\n')
    assert b"a.B@1" in asking.answers.readline()
    assert its.recv(1000) == LOAD + CREATE


@pytest.mark.parametrize("answer", [b'{"error":"Multiple versions of package a"}\n', b""], ids=["refused", "ended"])
def test_whoever_asks_next_is_told_of_a_load_that_failed(kernel, answer: bytes):
    its, asking = kernel
    asking.write(LOAD)
    asking.flush()
    asking.answers.readline()
    asking.write(CREATE)
    asking.flush()
    its.sendall(answer + b'{"ok":{"$jsii.byref":"a.B@1"}}\n' if answer else b"")
    its.shutdown(socket.SHUT_WR)
    assert asking.answers.readline() == (answer or b"\n")
    assert asking.answers.readline() == (answer or b"\n")


def test_a_load_of_any_other_package_waits_for_the_kernel(kernel):
    its, asking = kernel
    asking.write(LOAD.replace(b'"1"', b'"2"'))
    asking.flush()
    its.sendall(b'{"error":"no such package"}\n')
    assert asking.answers.readline() == b'{"error":"no such package"}\n'


def test_what_the_kernel_prints_is_told_in_jsii_s_own_form():
    program = "import os; os.write(1, b'out'); os.write(2, b'err')"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed = kernel_start._Printed(process.stdout, process.stderr)
    lines = [json.loads(line) for line in iter(printed.readline, b"")]
    process.wait()
    printed.close()
    assert sorted((name, b64decode(said)) for line in lines for name, said in line.items()) == [
        ("stderr", b"err"),
        ("stdout", b"out"),
    ]


@pytest.mark.parametrize(
    ("runtime", "program", "direct"),
    [
        ('spawn(a,b,{stdio:["ignore","pipe","pipe","pipe"]})', "{readFD:3,writeFD:3}", True),
        ("spawn(a, b, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })", "{ readFD: 3, writeFD: 3 }", True),
        ('spawn(a,b,{stdio:["ignore","pipe","pipe"]})', "{readFD:3,writeFD:3}", False),
        ('spawn(a,b,{stdio:["ignore","pipe","pipe","pipe"]})', "{readFD:4,writeFD:4}", False),
        ('spawn(a,b,{stdio:["ignore","pipe","pipe","pipe"]})', None, False),
    ],
)
def test_a_kernel_of_a_form_that_is_not_known_is_started_as_jsii_starts_it(tmp_path: Path, runtime, program, direct):
    for name, text in (("bin/jsii-runtime.js", runtime), ("lib/program.js", program)):
        (tmp_path / name).parent.mkdir()
        if text is not None:
            (tmp_path / name).write_text(f"// {text}\n")
    kernel, asked, options = kernel_start._begun(str(tmp_path), keep=False)
    kernel.wait()
    for stream in (kernel.stdin, kernel.stdout, kernel.stderr):
        stream.close()
    assert isinstance(kernel.stdin, kernel_start._Asking) is direct
    assert asked == kernel.args == ["node", "--max-old-space-size=4069", f"{tmp_path}/bin/jsii-runtime.js"]
    assert options["env"]["JSII_AGENT"].startswith("Python/3")
