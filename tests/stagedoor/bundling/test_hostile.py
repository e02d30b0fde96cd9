"""Bundle files and assets as a stranger's program might leave them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from stagedoor.bundling.errors import InvalidBundle
from stagedoor.bundling.wanted import BUNDLE_FILE, NodeWanted, PythonWanted, check_requirements, read_wanted, written
from stagedoor.synth.tree import UnsafeFile
from tests.stagedoor.bundling.project import Project, names_in

PYTHON = PythonWanted("publication==0.0.3\n", "3.11", "x86_64")
PRIVATE = replace(PYTHON, indexes=("https://registry.example.com:8443/simple",))
NODE = NodeWanted("functions/main.ts", "node22", "arm64", external=("@aws-sdk/*", "sharp"), install=("sharp@0.33.1",))


def test_what_our_constructs_write_is_read_as_it_was():
    assert [read_wanted(written(each)) for each in (PYTHON, PRIVATE, NODE)] == [PYTHON, PRIVATE, NODE]


def test_what_an_older_library_writes_is_read():
    older = {name: value for name, value in json.loads(written(PYTHON)).items() if name not in ("indexes", "source")}
    assert read_wanted(json.dumps(older)) == PYTHON


@pytest.mark.parametrize(
    "line",
    [
        "requests",
        "requests>=2,<3",
        "requests (>=2)",
        "requests[security,socks]==2.32.3 ; python_version < '3.13' and sys_platform == 'linux'",
        f"requests==2.32.3 --hash=sha256:{'a' * 64} \\\n    --hash=sha512:{'b' * 128}",
        "tool @ https://files.example.com/tool-1.0-py3-none-any.whl",
        "",
        "# said",
    ],
)
def test_packages_of_registries_may_be_asked_for(line):
    check_requirements(line.replace("\\\n", " "))


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "-r /etc/passwd",
        "--index-url https://evil.example.com/simple",
        "requests --index-url=https://evil.example.com",
        "--find-links /",
        "./library",
        "/etc",
        "library @ file:///etc",
        "file:///root/x.whl",
        "tool @ git+https://example.com/tool",
        "tool @ http://169.254.169.254/tool.whl",
        "https://example.com/tool.whl",
        "requests==1 \\",
        "requests==1 --config-settings=x",
        "requests; $(id)",
        "${HOME}/x.whl",
    ],
)
def test_nothing_else_is_installed(line):
    with pytest.raises(InvalidBundle, match="may not have the requirement") as refused:
        check_requirements(f"publication==0.0.3\n{line}\n")
    assert "Name packages of a registry" in refused.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[" * 100_000,
        "[]",
        "{}",
        json.dumps({"kind": "python"}),
        json.dumps({**json.loads(written(PYTHON)), "kind": "java"}),
        json.dumps({**json.loads(written(PYTHON)), "more": 1}),
        json.dumps({**json.loads(written(PYTHON)), "locked": "yes"}),
        json.dumps({**json.loads(written(PYTHON)), "left_out": [1]}),
        written(replace(PYTHON, python="3.11 --index-url x")),
        written(replace(PYTHON, architecture="../x86_64")),
        written(replace(PYTHON, indexes=("file:///etc",))),
        written(replace(PYTHON, indexes=("https://user:password@example.com/simple",))),
        written(replace(PYTHON, indexes=("http://169.254.169.254/",))),
        written(replace(PYTHON, indexes=("--no-verify-hashes",))),
        written(replace(PYTHON, left_out=("boto3 @ file:///etc",))),
        written(replace(PYTHON, requirements="#" * 5_000_000)),
        written(replace(NODE, source="/etc/passwd")),
        written(replace(NODE, source="../outside.ts")),
        written(replace(NODE, source="")),
        written(replace(NODE, target="node22 --x")),
        written(replace(NODE, format="iife")),
        written(replace(NODE, install=("file:../evil",))),
        written(replace(NODE, install=("evil@git+https://example.com/x.git",))),
        written(replace(NODE, install=("--registry=https://evil.example.com@1",))),
        written(replace(NODE, locked=("node_modules/../../evil 1.0.0 sha512-AAAA",))),
        written(replace(NODE, locked=("node_modules/evil https://example.com/x.tgz sha512-AAAA",))),
        written(replace(NODE, locked=("node_modules/evil 1.0.0",))),
        written(replace(NODE, external=("../x",))),
    ],
)
def test_a_bundles_file_says_what_it_may_or_nothing_is_done(text):
    with pytest.raises(InvalidBundle):
        read_wanted(text)


def asset(project: Project, text: str, name: str = "asset.a") -> Path:
    folder = project.assembly / name
    folder.mkdir(parents=True)
    (folder / BUNDLE_FILE).write_text(text)
    return folder


def test_links_out_of_the_repository_lead_nowhere(project: Project, tmp_path):
    secret = tmp_path / "secret.ts"
    secret.write_text("export const handler = 'secret'")
    project.write({"functions/.keep": ""})
    (project.root / "functions" / "main.ts").symlink_to(secret)
    asset(project, written(NODE))
    with pytest.raises(InvalidBundle, match="no file of the repository"):
        project.complete()


def test_a_bundles_file_that_is_a_link_is_not_read(project: Project, tmp_path):
    (tmp_path / "elsewhere.json").write_text(written(PYTHON))
    folder = asset(project, "")
    (folder / BUNDLE_FILE).unlink()
    (folder / BUNDLE_FILE).symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(UnsafeFile):
        project.complete()


def test_an_asset_that_is_a_link_is_not_completed(project: Project, tmp_path):
    asset(Project(project.root, project.cache, tmp_path), written(PYTHON), "outside")
    (project.assembly / "asset.a").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidBundle, match="behind links"):
        project.complete()


def test_packages_are_not_copied_through_the_links_of_an_asset(project: Project, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = asset(project, written(PYTHON))
    (folder / "publication-0.0.3.dist-info").symlink_to(outside)
    (folder / "publication.py").symlink_to(outside / "publication.py")
    project.complete()
    assert names_in(outside) == set()
