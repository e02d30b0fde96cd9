"""Save a file, and the next request is answered by the new code."""

import asyncio
import os
import subprocess
from pathlib import Path

from stagedoor.synth.dependencies import Environment
from tests.stagedoor.live.reload.conftest import CACHE, connected, source, write


def test_only_what_imports_a_saved_file_is_loaded_again(tmp_path: Path):
    count = "import os\nfrom shared import WORD\ndef handle(event, context): return [WORD, os.getpid()]\n"
    write(tmp_path, {"a.py": count, "shared.py": "WORD = 'one'\n"})
    write(tmp_path, {"b.py": "import os\ndef handle(event, context): return os.getpid()\n"})

    async def story():
        async with connected(tmp_path, {"f": source(tmp_path, "a.handle"), "g": source(tmp_path, "b.handle")}) as app:
            assert (await app.ask("f"))[0] == "one"
            other = await app.ask("g")
            await app.save("shared.py", "WORD = 'two'\n")
            assert (await app.ask("f"))[0] == "two"
            assert await app.ask("g") == other
            assert [each.functions for each in app.reloaded] == [{"f"}]

    asyncio.run(story())


def test_a_function_imports_what_its_bundle_has_and_packages_of_the_repository(tmp_path: Path):
    program = "import shared, stagedoor.runtime\ndef handle(event, context): return [shared.WORD, stagedoor.__doc__]\n"
    write(tmp_path, {"api/a.py": program, "api/requirements.txt": "../library", "library/shared.py": "WORD = 'one'\n"})
    installed = Environment(variables={"PYTHONPATH": str(tmp_path / "library")})

    async def story():
        ours = {"f": source(tmp_path / "api", "a.handle", ours=True)}
        async with connected(tmp_path, ours, installed) as app:
            assert await app.ask() == ["one", "The part of Stagedoor that is in a function: `stagedoor.runtime`."]

    asyncio.run(story())


def test_a_mistake_is_the_next_answer_and_its_correction_the_one_after(tmp_path: Path):
    good = "def handle(event, context): return 'good'\n"
    write(tmp_path, {"a.py": good})

    async def story():
        async with connected(tmp_path, {"f": source(tmp_path, "a.handle")}) as app:
            assert await app.ask() == "good"
            await app.save("a.py", "def handle(event, context: return\n")
            assert await app.ask() == "Runtime.UserCodeSyntaxError"
            await app.save("a.py", "import missing_one\n" + good)
            assert await app.ask() == "Runtime.ImportModuleError"
            await app.save("missing_one.py", "")
            assert await app.ask() == "good"
            before = len(app.reloaded)
            (tmp_path / "missing_one.py").unlink()
            await app.until("Runtime.ImportModuleError")
            (tmp_path / "missing_two.py").write_text("")
            (tmp_path / "missing_two.py").rename(tmp_path / "missing_one.py")
            await app.until("good")
            assert len(app.reloaded) > before

    asyncio.run(story())


def test_editors_that_save_beside_and_rename_are_seen_and_what_they_leave_is_not(tmp_path: Path):
    write(tmp_path, {"deep/er/a.py": "def handle(event, context): return 1\n"})

    async def story():
        async with connected(tmp_path, {"f": source(tmp_path / "deep" / "er", "a.handle")}) as app:
            assert await app.ask() == 1
            (tmp_path / "deep/er/a.py~").write_text("backup")
            (tmp_path / "deep/er/.a.py.swp").write_text("swap")
            write(tmp_path, {"deep/er/node_modules/x/index.js": "", "deep/er/__pycache__/a.pyc": ""})
            await asyncio.sleep(0.3)
            assert app.reloaded == []
            (tmp_path / "deep/er/4913").write_text("def handle(event, context): return 2\n")
            os.replace(tmp_path / "deep/er/4913", tmp_path / "deep/er/a.py")
            await app.until(2)
            assert len(app.reloaded) == 1

    asyncio.run(story())


def test_what_is_installed_for_the_workers_is_no_code_of_the_apps(tmp_path: Path):
    write(tmp_path, {"a.py": "def handle(event, context): return 1\n"})

    async def story():
        async with connected(tmp_path, {"f": source(tmp_path, "a.handle")}) as app:
            for file in CACHE.glob("live/python-*/*/*.py"):
                file.chmod(file.stat().st_mode)  # a file's status changes as well when uv links to it from elsewhere
            assert await app.ask() == 1
            await asyncio.sleep(0.3)
            assert app.reloaded == []

    asyncio.run(story())


def test_a_checkout_of_a_thousand_files_is_one_reload(tmp_path: Path):
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)

    def commit(value: int) -> None:
        write(tmp_path, {f"pkg/m{number}.py": f"VALUE = {value}\n" for number in range(1000)})
        git("add", ".")
        git("commit", "-qm", str(value))

    last = "from pkg import m0, m500, m999\ndef handle(event, context): return m0.VALUE + m500.VALUE + m999.VALUE\n"
    write(tmp_path, {"a.py": last, "pkg/__init__.py": ""})
    git("init", "-q", "-b", "main")
    commit(1)
    commit(2)

    async def story():
        async with connected(tmp_path, {"f": source(tmp_path, "a.handle")}) as app:
            assert await app.ask() == 6
            await asyncio.to_thread(git, "checkout", "-q", "HEAD~1")
            await app.until(3)
            await asyncio.sleep(0.1)
            assert len(app.reloaded) == 1

    asyncio.run(story())


def test_a_new_package_that_an_import_was_waiting_for(tmp_path: Path):
    optional = "try:\n    from extra.part import WORD\nexcept ImportError:\n    WORD = 'none'\n"
    write(tmp_path, {"a.py": optional + "def handle(event, context): return WORD\n"})

    async def story():
        async with connected(tmp_path, {"f": source(tmp_path, "a.handle")}) as app:
            assert await app.ask() == "none"
            write(tmp_path, {"extra/__init__.py": "", "extra/part.py": "WORD = 'here'\n"})
            await app.until("here")
            write(tmp_path, {"extra/part.py": "WORD = 'changed'\n"})
            await app.until("changed")

    asyncio.run(story())
