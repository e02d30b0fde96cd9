"""Functions in TypeScript, bundled by esbuild with packages that npm installed."""

import json
import subprocess
from pathlib import Path

import pytest

from stagedoor.bundling.errors import BundlingFailed, UnsupportedDependencies
from stagedoor.bundling.options import NodeOptions
from stagedoor.bundling.package_locks import locked_packages
from stagedoor.bundling.wanted import BUNDLE_FILE
from tests.stagedoor.bundling.project import Project, names_in

PACKAGE = {"name": "functions", "version": "1.0.0", "dependencies": {"debug": "4.3.4", "ms": "2.1.3"}}
MAIN = """
import ms from 'ms';
import { S3Client } from '@aws-sdk/client-s3';
import { twice } from '../shared/twice';

export const handler = async (event: { text: string }): Promise<number> => twice(ms(event.text));
export const client = () => S3Client;
"""


@pytest.fixture(scope="module")
def cache() -> Path:
    """esbuild is 10 MB: it is kept from one run of the tests to the next."""
    return Path(__file__).parents[3] / ".stagedoor" / "cache" / "bundling"


@pytest.fixture
def functions(project: Project) -> Project:
    project.write(
        {
            "functions/package.json": json.dumps(PACKAGE),
            "functions/main.ts": MAIN.replace("import { S3Client } from '@aws-sdk/client-s3';\n", ""),
            "functions/clients.ts": MAIN,
            "shared/twice.ts": "export const twice = (value: number): number => value * 2;\n",
        }
    )
    words = ["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(words, cwd=project.root / "functions", check=True)
    return project


def answer(asset: Path, file: str) -> str:
    program = f"import('{asset / file}').then(m => m.handler({{ text: '1s' }})).then(v => console.log(v))"
    return subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True).stdout.strip()


def test_typescript_with_packages_of_its_own_lock(functions: Project):
    main = "functions/main.handler"
    small = NodeOptions(minify=True, format="cjs", source_map=False)
    modern, old = functions.bundled(main, "nodejs22.x"), functions.bundled(main, "nodejs20.x", node=small)
    clients = functions.bundled("functions/clients.handler", "nodejs22.x", node=NodeOptions(install=("debug",)))
    assert names_in(modern) == {BUNDLE_FILE}
    functions.complete()
    assert (names_in(modern), names_in(old)) == ({"index.mjs", "index.mjs.map"}, {"index.js"})
    assert answer(modern, "index.mjs") == answer(old, "index.js").rstrip() == "2000"
    assert "functions/main.ts" in json.dumps(json.loads((modern / "index.mjs.map").read_text())["sources"])
    assert str(functions.root.parent) not in (modern / "index.mjs.map").read_text() + (modern / "index.mjs").read_text()
    bundled = (clients / "index.mjs").read_text()
    assert 'from "@aws-sdk/client-s3"' in bundled
    # With what it depends on, in the lock's version of it, which is another than the project's own.
    assert names_in(clients / "node_modules") == {"debug"}
    beside = clients / "node_modules" / "debug" / "node_modules" / "ms" / "package.json"
    assert json.loads(beside.read_text())["version"] == "2.1.2"
    assert not (functions.root / "functions" / "node_modules").exists()


def test_what_cannot_be_bundled_is_said_by_esbuild_itself(functions: Project):
    functions.write({"functions/main.ts": "import nothing from 'not-there';\nexport const handler = nothing;\n"})
    functions.bundled("functions/main.handler", "nodejs22.x")
    with pytest.raises(BundlingFailed, match=r"could not bundle functions/main\.ts") as failed:
        functions.complete()
    assert 'Could not resolve "not-there"' in failed.value.detail
    with pytest.raises(UnsupportedDependencies, match="sharp is to be installed"):
        functions.bundled("functions/main.handler", "nodejs22.x", node=NodeOptions(install=("sharp",)))


def test_what_is_installed_beside_a_function_is_what_its_machine_needs(tmp_path: Path):
    """As sharp has it: a package for each machine, one of which is right; what they share is where npm has put it."""
    hashed = {"version": "1.0.0", "integrity": "sha512-AAAA"}
    packages = {
        "": {},
        "node_modules/sharp": {
            **hashed,
            "dependencies": {"color": "1"},
            "optionalDependencies": dict.fromkeys("abc", "1"),
        },
        "node_modules/a": {**hashed, "os": ["linux"], "cpu": ["arm64"], "libc": ["glibc"]},
        "node_modules/b": {**hashed, "os": ["linux"], "cpu": ["x64"], "optional": True},
        "node_modules/c": {**hashed, "os": ["!linux"]},
        "node_modules/color": {**hashed, "peerDependencies": {"never-there": "1"}, "dependencies": {"name": "1"}},
        "node_modules/color/node_modules/name": {**hashed, "dependencies": {"color": "1"}},
        "node_modules/name": hashed,
        "node_modules/local": {"link": True},
    }
    lock = tmp_path / "package-lock.json"
    lock.write_text(json.dumps({"lockfileVersion": 3, "packages": packages}))
    places = [line.split()[0] for line in locked_packages(lock, ["sharp"], "arm64")]
    assert places == [
        "node_modules/a",
        "node_modules/color",
        "node_modules/color/node_modules/name",
        "node_modules/sharp",
    ]
    with pytest.raises(UnsupportedDependencies, match="local, which is to be installed"):
        locked_packages(lock, ["local"], "arm64")
