"""Real installations of small packages into the bundles of Python functions."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stagedoor.bundling import installing
from stagedoor.bundling.errors import BundleTooLarge, BundlingFailed, WrongArchitecture
from stagedoor.bundling.installed import check_installed
from stagedoor.bundling.options import PythonOptions
from stagedoor.bundling.tools import find_uv
from stagedoor.bundling.wanted import BUNDLE_FILE, PythonWanted
from tests.stagedoor.bundling.project import Project, names_in, wheel

HANDLER = "import markupsafe\n\ndef handle(event, context):\n    return markupsafe.__name__\n"
NATIVE = "markupsafe==3.0.2"
HERE = f"python3.{sys.version_info.minor}"
AARCH64, X86_64 = 183, 62


def pyproject(name: str, *dependencies: str, more: str = "") -> str:
    listed = ", ".join(f'"{each}"' for each in dependencies)
    return f'[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{listed}]\n{more}'


def lock(folder: Path) -> None:
    subprocess.run([str(find_uv()), "lock", "--quiet"], cwd=folder, check=True)


def machine(asset: Path) -> int:
    (library,) = asset.glob("markupsafe/_speedups*.so")
    return int.from_bytes(library.read_bytes()[18:20], "little")


def contents(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_functions_of_a_workspace_share_what_is_installed_once(project: Project):
    root = "[tool.uv.workspace]\nmembers = ['api', 'shared']\n"
    sources = (
        "[tool.uv.sources]\nshared = { workspace = true }\nlocal = { path = '../vendor/local-1.0-py3-none-any.whl' }\n"
    )
    wheel(project.root / "vendor", "local", "WHERE = 'wheel'\n")
    project.write(
        {
            "pyproject.toml": pyproject("app", "constructs", more=root),
            "api/pyproject.toml": pyproject("api", NATIVE, "shared", "local", "constructs", "boto3", more=sources),
            "api/one.py": HANDLER,
            "api/two.py": HANDLER,
            "shared/pyproject.toml": pyproject("shared", "publication==0.0.3"),
            "shared/src/shared/__init__.py": "",
        }
    )
    lock(project.root)
    one = project.bundled("api/one.handle", HERE)
    assert not names_in(one) & {"markupsafe", "boto3"}
    arm = project.bundled("api/one.handle", "python3.12", "arm64")
    assert project.complete() == ["done", "done"]
    assert names_in(one) >= {"one.py", "two.py", "shared", "local.py", "markupsafe", "publication.py"}
    assert not names_in(one) & {"boto3", "botocore", "constructs", "jsii", "bin", BUNDLE_FILE}
    assert [machine(one), machine(arm)] == [X86_64, AARCH64]
    ran = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(one)!r}); import one; "
                          "print(one.handle(0, 0))"], capture_output=True, text=True, check=True)  # fmt: skip
    assert ran.stdout == "markupsafe\n"
    assert list(one.glob("markupsafe/__pycache__/*.pyc"))

    project.write({"api/one.py": f"{HANDLER}# changed\n"})
    changed = project.bundled("api/one.handle", HERE)
    assert changed != one
    assert project.complete() == ["hit"]
    assert names_in(changed) == names_in(one)
    assert project.complete() == []

    shutil.rmtree(project.cache / "bundles")
    again = Project(project.root, project.cache, project.assembly.with_name("again"))
    anew = again.bundled("api/one.handle", HERE)
    assert again.complete() == ["done"]
    assert contents(anew) == contents(changed)


HASH = "0248885351febc11d8a1098d5c8e3ab2dabcf3e8c0c96db1e17ecd12b53afbe6"
POETRY = f"""
[[package]]
name = "publication"
version = "0.0.3"
files = [{{ file = "publication-0.0.3-py2.py3-none-any.whl", hash = "sha256:{HASH}" }}]
[package.dependencies]
boto3 = "*"
"""
PIPENV = '{"default": {"publication": {"version": "==0.0.3"}, "boto3": {"version": "==1.40.0"}}}'


@pytest.mark.parametrize(
    "files",
    [
        {"poetry.lock": POETRY, "pyproject.toml": '[tool.poetry.dependencies]\npython = "*"\npublication = "*"\n'},
        {"Pipfile.lock": PIPENV, "Pipfile": ""},
        {"requirements.txt": "-r more.txt\n-e .\nboto3\n", "more.txt": "publication == 0.0.3  # pinned\n"},
        {"pyproject.toml": pyproject("api", "publication==0.0.3", "boto3>1")},
        {"requirements.txt": "./library\n", "library/pyproject.toml": pyproject("library", "publication==0.0.3")},
    ],
    ids=["poetry", "pipenv", "requirements", "pyproject", "folder"],
)
def test_each_way_to_write_dependencies_down(project: Project, files):
    project.write({**{f"api/{name}": text for name, text in files.items()}, "api/main.py": "def handle(*_): ...\n"})
    asset = project.bundled("api/main.handle")
    project.complete()
    assert names_in(asset) >= {"main.py", "publication.py"}
    assert not names_in(asset) & {"boto3", "botocore"}


def test_a_function_without_dependencies_is_whole_at_once(project: Project):
    project.write({"requirements.txt": "aws-cdk-lib==2.200.0\nboto3\n", "functions/main.py": "def handle(*_): ...\n"})
    assert BUNDLE_FILE not in names_in(project.bundled("functions/main.handle"))
    assert BUNDLE_FILE in names_in(project.bundled("functions/main.handle", python=PythonOptions(boto3=True)))


def test_a_handler_may_import_its_projects_own_package(project: Project):
    project.write({"pyproject.toml": pyproject("shop"), "src/shop/__init__.py": "", "functions/main.py": HANDLER})
    assert names_in(project.bundled("functions/main.handle")) == {"__pycache__", "main.py", "shop"}


def test_registries_of_a_lock_are_asked_besides_the_usual_one(project: Project):
    project.write({"pyproject.toml": pyproject("app", "publication==0.0.3", NATIVE), "functions/main.py": HANDLER})
    lock(project.root)
    text = (project.root / "uv.lock").read_text()
    name = 'name = "publication"\nversion = "0.0.3"\nsource = { registry = "https://'
    assert name in text
    moved = text.replace(f"{name}pypi.org/simple", f"{name}registry.example.com/simple")
    (project.root / "uv.lock").write_text(moved)
    asset = project.bundled("functions/main.handle")
    assert json.loads((asset / BUNDLE_FILE).read_text())["indexes"] == ["https://registry.example.com/simple"]


def test_two_at_once_install_once(project: Project):
    project.write({"api/requirements.txt": "typing-extensions==4.12.2\n", "api/main.py": "def handle(*_): ...\n"})
    other = Project(project.root, project.cache, project.assembly.with_name("other"))
    folders = [each.bundled("api/main.handle") for each in (project, other)]
    with ThreadPoolExecutor() as threads:
        said = list(threads.map(Project.complete, (project, other)))
    assert sorted(said) == [["done"], ["hit"]]
    assert all("typing_extensions.py" in names_in(folder) for folder in folders)


def installed(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "elf", "said"),
    [
        ("_fast.cpython-312-x86_64-linux-gnu.so", X86_64, "cannot load on arm64"),
        ("lib.so.3", X86_64, "cannot load on arm64"),
        ("_fast.cpython-311-aarch64-linux-gnu.so", AARCH64, "for Python 3.11, not 3.12"),
    ],
)
def test_a_library_that_lambda_could_not_load_is_named_with_its_package(tmp_path, name, elf, said):
    head = b"\x7fELF" + bytes(14) + elf.to_bytes(2, "little")
    packages = installed(tmp_path, {f"quick/{name}": head, "quick/__init__.py": b""})
    with pytest.raises(WrongArchitecture, match=f"quick has a native library .*{said}") as refused:
        check_installed(packages, PythonWanted("quick", "3.12", "arm64"))
    assert "wheel for" in refused.value.remedy


def test_what_is_too_large_for_lambda_is_named(tmp_path):
    packages = installed(tmp_path, {"small/a.py": b"", "large/data.bin": b""})
    os.truncate(packages / "large" / "data.bin", 300 * 1024**2)
    with pytest.raises(BundleTooLarge, match=r"api/main.py has 300 MB.*Largest: large \(300 MB\), small"):
        check_installed(packages, PythonWanted("large", "3.12", "arm64", source="api/main.py"))


def test_a_package_without_a_wheel_for_the_function_says_so(project: Project):
    project.write({"api/requirements.txt": "publication==99\n", "api/main.py": "def handle(*_): ...\n"})
    project.bundled("api/main.handle")
    with pytest.raises(BundlingFailed, match=r"api/main.py could not be installed for Python 3.11 on x86_64") as failed:
        project.complete()
    assert "publication==99" in failed.value.detail
    assert not list((project.cache / "bundles").glob("*.*/"))


def test_under_cdk_synth_it_is_whole_at_once(project: Project, monkeypatch, capsys):
    monkeypatch.delenv("STAGEDOOR_BUNDLING")
    monkeypatch.setenv("STAGEDOOR_CACHE_DIR", str(project.cache / "persons"))
    project.write({"api/requirements.txt": "publication==0.0.3\n", "api/main.py": "def handle(*_): ...\n"})
    asset = project.bundled("api/main.handle")
    assert names_in(asset) >= {"main.py", "publication.py"}
    assert BUNDLE_FILE not in names_in(asset)
    assert "Installed packages for Python 3.11 on x86_64" in capsys.readouterr().err
    assert project.bundled("api/main.handle") == asset
    assert not capsys.readouterr().err
    monkeypatch.setattr(installing, "find_uv", lambda: None)
    with pytest.raises(BundlingFailed, match="uv, and it is not here") as missing:
        project.bundled("api/main.handle", architecture="arm64")
    assert "pip install uv" in missing.value.remedy


def test_a_functions_own_modules_are_compiled_and_what_is_changed_later_holds(project: Project):
    project.write({"functions/main.py": "WORD = 'bundled'\n", "functions/broken.py": "def (:\n"})
    asset = project.bundled("functions/main.handler", HERE)
    compiled = asset / "__pycache__" / f"main.{sys.implementation.cache_tag}.pyc"
    assert not list(compiled.parent.glob("broken.*"))
    ask = [sys.executable, "-v", "-c", "import main; print(main.WORD)"]
    imported = subprocess.run(ask, cwd=asset, capture_output=True, text=True, check=True)
    assert (imported.stdout, "main.cpython" in imported.stderr) == ("bundled\n", True)
    assert any("code object from" in line and "/main.cpython" in line for line in imported.stderr.splitlines())
    # The same bytes from a process that has other things loaded.
    program = "import sys, argparse, json; from stagedoor.bundling.bytecode import bytecode_of as of; "
    program += "sys.stdout.buffer.write(of({'main.py': b\"WORD = 'bundled'\\n\"}).popitem()[1])"
    assert (
        subprocess.check_output([sys.executable, "-c", program], cwd=Path(__file__).parents[3]) == compiled.read_bytes()
    )
    (asset / "main.py").write_text("WORD = 'changed'\n")
    assert subprocess.check_output(ask[:1] + ask[2:], cwd=asset, text=True) == "changed\n"
    assert not (project.bundled("functions/main.handler", "python3.9") / "__pycache__").exists()
