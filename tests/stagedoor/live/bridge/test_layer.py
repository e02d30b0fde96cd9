"""What is published as a layer, and the wrapper in it, as AWS's bootstrap starts it."""

import ast
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from stagedoor.live.bridge_layer import FOLDER, WRAPPER, emulator_zip, layer_zip
from tests.stagedoor.live.bridge.conftest import HANDLERS, LAMBDA
from tests.stagedoor.live.bridge.relay import ScriptedRelay, deployed
from tests.stagedoor.live.bridge.sandbox import Sandbox


def test_the_layer_is_the_same_bytes_each_time_and_its_wrapper_may_be_run():
    assert layer_zip() == layer_zip()
    with zipfile.ZipFile(io.BytesIO(layer_zip())) as layer, zipfile.ZipFile(io.BytesIO(emulator_zip())) as emulator:
        assert layer.getinfo(WRAPPER.removeprefix("/opt/")).external_attr >> 16 == 0o100755
        assert emulator.getinfo("bootstrap").external_attr >> 16 == 0o100755
        assert set(emulator.namelist()) == {"bootstrap", *layer.namelist()}


def test_the_bridge_needs_no_more_than_python_3_9_and_its_standard_library():
    for source in FOLDER.glob("*.py"):
        tree = ast.parse(source.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                known = sys.stdlib_module_names | {"_sha2"}  # from Python 3.12 on
                assert name.startswith("stagedoor.live.bridge.") or top in known, (source.name, name)


def test_a_functions_own_modules_and_options_do_not_reach_the_bridge(
    layer: Path, relay: ScriptedRelay, awslambdaric: Path, tmp_path: Path
):
    """Neither a `socket.py` beside the handler nor PYTHON… variables, which the deployed code does get."""
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("socket", "ssl", "struct", "stagedoor", "sitecustomize"):
        (hostile / f"{name}.py").write_text("raise SystemExit('not for the bridge')\n")
    environment = {
        **LAMBDA,
        "AWS_LAMBDA_EXEC_WRAPPER": str(layer / WRAPPER.removeprefix("/opt/")),
        "STAGEDOOR_LIVE_SERVER": relay.url,
        "STAGEDOOR_LIVE_STAGE": "7",
        "STAGEDOOR_LIVE_TIMEOUT": "3",
        "PYTHONPATH": str(hostile),
        "PYTHONSTARTUP": "/nowhere",
    }
    with Sandbox([str(awslambdaric), "-m", "awslambdaric", "app.echo"], environment, code=HANDLERS) as sandbox:
        assert sandbox.invoke({"live": 1}).document == {"live": 1}
        told = relay.asked[0].headers["Stagedoor-Sandbox"]
        assert told
        relay.otherwise = deployed
        assert sandbox.invoke({}).document["errorType"] == "Runtime.ExitError"
        assert "not for the bridge" in sandbox.log


def test_the_wrapper_that_was_there_starts_the_deployed_code(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay, tmp_path: Path
):
    relay.live, relay.otherwise = False, deployed
    before = tmp_path / "otel-handler"
    before.write_text('#!/bin/sh\nexport CHAINED="$AWS_LAMBDA_EXEC_WRAPPER"\nexec "$@"\n')
    before.chmod(0o755)
    sandbox = bridged("app.any_of", STAGEDOOR_LIVE_WRAPPER=str(before))
    seen = sandbox.invoke({"do": "context"}).document["environment"]
    assert (seen["CHAINED"], seen["AWS_LAMBDA_EXEC_WRAPPER"]) == (str(before), str(before))
    assert not [name for name in seen if name.startswith("STAGEDOOR_")]


def test_a_wrapper_that_has_nothing_to_bridge_starts_the_runtime_as_if_it_were_not_there(layer: Path):
    wrapper = layer / WRAPPER.removeprefix("/opt/")
    live = {"STAGEDOOR_LIVE_SERVER": "http://s", "STAGEDOOR_LIVE_STAGE": "7", "STAGEDOOR_LIVE_TIMEOUT": "3"}
    for environment, program in [
        ({}, sys.executable),
        ({**live, "AWS_LAMBDA_MAX_CONCURRENCY": "10"}, sys.executable),
        (live, "sh"),
    ]:
        code = "import os; print(os.getpid())" if program != "sh" else "echo $$"
        process = subprocess.Popen(
            [wrapper, program, "-c", code], env={"PATH": os.environ["PATH"], **environment}, stdout=subprocess.PIPE
        )
        assert int(process.communicate()[0]) == process.pid


NODE_RUNTIME = """
import http from 'node:http';
const agent = new http.Agent({ keepAlive: true });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const asked = (method, path, body) => new Promise((resolve, reject) => {
  http.request({ host, port, method, agent, path: `/2018-06-01/runtime/${path}` }, (answer) => {
    const all = [];
    answer.on('data', (piece) => all.push(piece)).on('end', () => resolve([answer.headers, Buffer.concat(all)]));
  }).on('error', reject).end(body);
});
for (;;) {
  const [headers] = await asked('GET', 'invocation/next');
  const { NODE_OPTIONS } = process.env;
  const body = JSON.stringify({ options: NODE_OPTIONS, flags: process.execArgv, title: process.title });
  await asked('POST', `invocation/${headers['lambda-runtime-aws-request-id']}/response`, body);
}
"""


def test_the_wrapper_before_a_node_function(layer: Path, relay: ScriptedRelay, tmp_path: Path):
    """With the flags that Lambda gives its Node, and options of the function's own, which the bridge is spared."""
    (tmp_path / "index.mjs").write_text(NODE_RUNTIME)
    environment = {
        **LAMBDA,
        "AWS_LAMBDA_EXEC_WRAPPER": str(layer / WRAPPER.removeprefix("/opt/")),
        "STAGEDOOR_LIVE_SERVER": relay.url,
        "STAGEDOOR_LIVE_STAGE": "7",
        "STAGEDOOR_LIVE_TIMEOUT": "3",
        "NODE_OPTIONS": "--title=the-function",
    }
    with Sandbox(["node", "--expose-gc", str(tmp_path / "index.mjs")], environment, code=tmp_path) as sandbox:
        assert sandbox.invoke({"live": 1}).document == {"live": 1}
        relay.otherwise = deployed
        wanted = {"options": "--title=the-function", "flags": ["--expose-gc"], "title": "the-function"}
        assert sandbox.invoke({}).document == wanted


def test_an_emulators_function_has_no_deployed_code_behind_the_bridge(relay: ScriptedRelay, tmp_path: Path):
    with zipfile.ZipFile(io.BytesIO(emulator_zip())) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "bootstrap").chmod(0o755)
    live = {"STAGEDOOR_LIVE_SERVER": relay.url, "STAGEDOOR_LIVE_STAGE": "7", "STAGEDOOR_LIVE_TIMEOUT": "3"}
    with Sandbox([str(tmp_path / "bootstrap")], {**LAMBDA, **live}, code=tmp_path) as sandbox:
        assert sandbox.invoke({"live": 1}).document == {"live": 1}
        relay.otherwise = deployed
        assert sandbox.invoke({}).document["errorType"] == "Stagedoor.NobodyConnected"
