"""What is installed for an app, decided from its files."""

from pathlib import Path

import pytest

from stagedoor.bundling.requirement_files import read_requirements
from stagedoor.synth.recipes import Installer, UnsupportedDependencies, find_recipes


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root.resolve()


PROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = ["constructs"]\n'


@pytest.mark.parametrize(
    ("files", "installers"),
    [
        ({}, []),
        ({"requirements.txt": "constructs"}, [Installer.REQUIREMENTS]),
        ({"pyproject.toml": PROJECT}, [Installer.PYPROJECT]),
        ({"pyproject.toml": "[tool.ruff]\n"}, []),
        ({"pyproject.toml": PROJECT, "uv.lock": ""}, [Installer.UV]),
        ({"pyproject.toml": PROJECT, "uv.lock": "", "requirements.txt": ""}, [Installer.UV]),
        ({"package.json": "{}", "package-lock.json": "{}"}, [Installer.NPM]),
        (
            {"requirements.txt": "", "package.json": "{}", "package-lock.json": "{}"},
            [Installer.REQUIREMENTS, Installer.NPM],
        ),
        ({"poetry.lock": "", "requirements.txt": ""}, [Installer.REQUIREMENTS]),
        ({"poetry.lock": "", "pyproject.toml": PROJECT}, [Installer.POETRY]),
        ({"Pipfile.lock": '{"default": {}}', "Pipfile": ""}, [Installer.PIPENV]),
    ],
)
def test_the_files_of_the_app_say_what_installs_them(tmp_path, files, installers):
    root = put(tmp_path, files)
    assert [recipe.installer for recipe in find_recipes(root, root)] == installers


def test_the_nearest_folder_counts(tmp_path):
    root = put(tmp_path, {"requirements.txt": "outer", "infra/requirements.txt": "inner", "other/cdk.json": "{}"})
    assert find_recipes(root / "infra", root)[0].text == "inner\n"
    assert find_recipes(root / "other", root)[0].text == "outer\n"


def test_nothing_above_the_repository_counts(tmp_path):
    root = put(tmp_path, {"requirements.txt": "not the app's", "repository/cdk.json": "{}"}) / "repository"
    assert find_recipes(root, root) == []


def test_a_workspace_is_locked_at_its_root(tmp_path):
    root = put(tmp_path, {"pyproject.toml": PROJECT, "uv.lock": "# locked", "infra/pyproject.toml": PROJECT})
    (recipe,) = find_recipes(root / "infra", root)
    assert (recipe.installer, recipe.folder) == (Installer.UV, root / "infra")


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("Pipfile", "Pipenv"),
        ("pdm.lock", "PDM"),
        ("pnpm-lock.yaml", "pnpm"),
        ("yarn.lock", "Yarn"),
        ("bun.lock", "Bun"),
    ],
)
def test_what_cannot_be_installed_yet_is_named_with_what_can(tmp_path, name, tool):
    root = put(tmp_path, {name: "", "pyproject.toml": PROJECT})
    with pytest.raises(UnsupportedDependencies) as refused:
        find_recipes(root, root)
    assert tool in refused.value.what
    assert "uv.lock" in refused.value.remedy
    assert "package-lock.json" in refused.value.remedy
    assert refused.value.location
    assert refused.value.location.path == name


NEEDS = '{"dependencies": {"aws-cdk-lib": "2.275.0"}}'


@pytest.mark.parametrize(
    "files",
    [
        {"package.json": NEEDS, "node_modules/aws-cdk-lib/package.json": "{}"},  # installed by its author
        {"package.json": NEEDS, "requirements.txt": "aws-cdk-lib"},
        {"package.json": '{"scripts": {}}'},
        {"package.json": "not JSON"},
    ],
)
def test_packages_without_a_lock_do_not_matter_where_the_app_can_do_without_them(tmp_path, files):
    root = put(tmp_path, files)
    assert Installer.NPM not in [recipe.installer for recipe in find_recipes(root, root)]


def test_packages_without_a_lock_are_refused_before_the_program_misses_them(tmp_path):
    root = put(tmp_path, {"infra/package.json": NEEDS})
    with pytest.raises(UnsupportedDependencies, match="there is no package-lock") as refused:
        find_recipes(root / "infra", root)
    assert "npm install" in refused.value.remedy
    assert refused.value.location
    assert refused.value.location.path == "infra/package.json"


def test_workspaces_of_npm_are_named(tmp_path):
    root = put(tmp_path, {"package.json": '{"workspaces": ["infra"]}', "package-lock.json": "{}", "infra/cdk.json": ""})
    with pytest.raises(UnsupportedDependencies, match="npm workspace"):
        find_recipes(root / "infra", root)


def test_included_requirements_take_their_place(tmp_path):
    root = put(
        tmp_path,
        {
            "requirements.txt": "# CDK\n-r common/base.txt\n-e .\nboto3==1.0  # pinned\nattrs \\\n  ==1\n",
            "common/base.txt": "constructs\n-r more.txt\n",
            "common/more.txt": "jsii\n",
        },
    )
    text = read_requirements(root / "requirements.txt", root, Path.read_text).text
    assert text.split() == ["constructs", "jsii", "boto3==1.0", "attrs", "==1"]


@pytest.mark.parametrize(
    "line",
    ["-r ../outside.txt", "-r requirements.txt", "-r missing.txt", "-c constraints.txt", "-e ./library", "../library"],
)
def test_requirements_that_reach_elsewhere_are_refused_at_their_line(tmp_path, line):
    root = put(tmp_path, {"outside.txt": "", "app/requirements.txt": f"constructs\n{line}\n"}) / "app"
    with pytest.raises(UnsupportedDependencies) as refused:
        read_requirements(root / "requirements.txt", root, Path.read_text)
    assert refused.value.location
    assert (refused.value.location.path, refused.value.location.line) == ("requirements.txt", 2)


LOCK = """
[[package]]
name = "app"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "shared" }, { name = "tools" }]

[[package]]
name = "shared"
version = "1"
source = { editable = "%s" }

[[package]]
name = "tools"
version = "1"
source = { path = "vendor/tools-1-py3-none-any.whl" }

[[package]]
name = "somebody-elses"
version = "1"
source = { editable = "other" }
"""


def test_packages_of_the_repository_itself_that_the_app_needs(tmp_path):
    files = {"pyproject.toml": PROJECT, "uv.lock": LOCK % "../shared", "vendor/tools-1-py3-none-any.whl": ""}
    put(tmp_path / "app", files)
    root = put(tmp_path, {"shared/src/shared.py": ""})
    (recipe,) = find_recipes(root / "app", root)
    assert {place.name for place in recipe.local} == {"shared", "tools-1-py3-none-any.whl"}
    with pytest.raises(UnsupportedDependencies, match="outside of the repository"):
        find_recipes(root / "app", root / "app")


POETRY = """
[[package]]
name = "Requests"
version = "2.0"
files = [{file = "requests-2.0.tar.gz", hash = "sha256:aa"}]
[package.dependencies]
idna = {version = "*", markers = 'python_version < "3.13"'}
chardet = {version = "*", optional = true}
[package.extras]
slow = ["chardet (>=3)"]

[[package]]
name = "idna"
version = "3.0"

[[package]]
name = "chardet"
version = "5.0"

[[package]]
name = "pytest"
version = "8.0"
"""


def test_a_lock_of_poetry_is_pinned_with_its_hashes_and_markers(tmp_path):
    told = '[tool.poetry.dependencies]\npython = "^3.11"\nrequests = "^2"\n'
    group = '[tool.poetry.group.dev.dependencies]\npytest = "*"\n'
    root = put(tmp_path, {"poetry.lock": POETRY, "pyproject.toml": told + group})
    assert find_recipes(root, root)[0].text.splitlines() == [
        'idna==3.0 ; ((python_version < "3.13"))',
        "pytest==8.0",
        "Requests==2.0 --hash=sha256:aa",
    ]
