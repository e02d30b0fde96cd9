"""Node and TypeScript functions: AWS's own client, esbuild, and reloads of both."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stagedoor.live.agent_events import LogLine
from stagedoor.live.node.builds import Build, Builder, find_esbuild
from tests.stagedoor.live.reload.conftest import CACHE, connected, source, write

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")


def test_handlers_answer_and_fail_as_in_lambda(tmp_path: Path):
    write(
        tmp_path,
        {
            "index.js": """
exports.promise = async (event, context) => [event, context.functionName, context.getRemainingTimeInMillis() > 1000];
exports.callback = (event, context, callback) => setTimeout(() => callback(null, 'called'), 5);
exports.nothing = () => {};
exports.thrown = async () => { console.log('é'); throw new TypeError('wrong'); };
exports.lost = async () => { Promise.reject(new Error('lost')); await new Promise((done) => setTimeout(done, 2000)); };
exports.left = () => process.exit(3);
exports.large = async (event) => event;
""",
            "module.mjs": "import { word } from './word.mjs';\nexport const handler = async () => word;\n",
            "word.mjs": "export const word = 'module';\n",
        },
    )
    names = ("promise", "callback", "nothing", "thrown", "lost", "left", "large")
    functions = {name: source(tmp_path, f"index.{name}", "nodejs20.x") for name in names}
    functions["module"] = source(tmp_path, "module.handler", "nodejs22.x")

    async def story():
        async with connected(tmp_path, functions) as app:
            assert await app.ask("promise", {"a": "é"}) == [{"a": "é"}, "promise", True]
            assert await app.ask("callback") == "called"
            assert await app.ask("nothing") is None
            thrown = (await app.result("thrown")).document
            assert (thrown["errorType"], thrown["errorMessage"]) == ("TypeError", "wrong")
            assert any("INFO\té" in event.text for event in app.events if isinstance(event, LogLine))
            assert await app.ask("lost") == "Runtime.UnhandledPromiseRejection"
            assert await app.ask("left") == "Runtime.ExitError"
            large = "\u2028é" * 500_000
            assert await app.ask("large", large) == large
            assert await app.ask("module") == "module"
            await app.save("word.mjs", "export const word = 'saved';\n")
            assert await app.ask("module") == "saved"

    asyncio.run(story())


def test_typescript_is_built_at_each_save_for_what_it_went_into(tmp_path: Path):
    write(
        tmp_path,
        {
            "src/greet.ts": "export const greet = (name: string): string => `hello ${name}`;\n",
            "src/one.ts": "import { greet } from './greet';\n"
            "export const handler = async (name: string) => greet(name);\n",
            "src/two.ts": "export const handler = async (_: unknown): Promise<number> => process.pid;\n",
        },
    )

    def built(name: str):
        entry = tmp_path / f"src/{name}.ts"
        made = source(tmp_path / "src", "index.handler", "nodejs22.x", entry=entry, output="index.js")
        return replace(made, construct_path=f"App/{name}")

    async def story():
        async with connected(tmp_path, {"f": built("one"), "g": built("two")}) as app:
            assert await app.ask("f", "you") == "hello you"
            other = await app.ask("g")
            await app.save("src/greet.ts", "export const greet = (name: string): string => `good day ${name}`;\n")
            assert await app.ask("f", "you") == "good day you"
            await app.save("src/greet.ts", "export const greet = {;\n")
            failed = (await app.result("f", "you")).document
            assert failed["errorType"] == "Runtime.UserCodeSyntaxError"
            assert "greet.ts:1:" in failed["errorMessage"]
            await app.save("src/greet.ts", "export const greet = (_: string): never => { throw new Error('mine'); };\n")
            trace = (await app.result("f", "you")).document["trace"]
            assert any("greet.ts:1" in line for line in trace)
            assert await app.ask("g") == other

    asyncio.run(story())


def test_a_build_that_a_worker_is_loading_stays_whole(tmp_path: Path):
    entry, output = tmp_path / "one.ts", tmp_path / "made" / "index.js"
    build = Build(entry, output, "cjs", "node20")

    async def story():
        builder = Builder(Path(shutil.which("node") or ""), lambda: find_esbuild(tmp_path, CACHE))
        entry.write_text("export const handler = async () => 'before';\n")
        assert (await builder.build(build)).problem is None
        with output.open("rb", buffering=0) as loading:
            begun = loading.read(10)
            entry.write_text("export const handler = async () => 'after';\n")
            assert (await builder.build(build)).problem is None
            assert b"before" in begun + loading.read()
        assert "after" in output.read_text()
        await builder.close()

    asyncio.run(story())
