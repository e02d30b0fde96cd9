"""Where code is found, from what a real synth writes and from what esbuild and pip leave in assets."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.reader import read_assembly
from stagedoor.live.sources import FunctionSource, NoSource, Override, find_sources
from stagedoor.target import Target

TARGET = Target("laptop", "123456789012", "us-east-1")


@pytest.fixture
def found(tmp_path: Path):
    """Find the code of functions: `files` of the repository, and by logical id the asset's files and its properties."""

    def find(
        files: dict[str, str], assets: dict[str, tuple[dict[str, str], dict[str, Any]]], *overrides: Override
    ) -> dict[str, FunctionSource | NoSource]:
        root, out = tmp_path / "repository", tmp_path / "repository" / "cdk.out"
        out.mkdir(parents=True)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        resources, listed = {}, {}
        for name, (content, properties) in assets.items():
            for path, text in content.items():
                (out / f"asset.{name}" / path).parent.mkdir(parents=True, exist_ok=True)
                (out / f"asset.{name}" / path).write_text(text)
            code = (
                {}
                if "Code" in properties or "Content" in properties
                else {"Code": {"S3Bucket": "b", "S3Key": f"{name}.zip"}}
            )
            kind = "AWS::Lambda::LayerVersion" if "Content" in properties else "AWS::Lambda::Function"
            told = {"Metadata": properties.pop("Metadata")} if "Metadata" in properties else {}
            resources[name] = {"Type": kind, "Properties": {**code, **properties}, **told}
            if content:
                place = {"bucketName": "b", "objectKey": f"{name}.zip"}
                source = {"path": f"asset.{name}", "packaging": "zip"}
                listed[name] = {"source": source, "destinations": {"here": place}}
        artifacts = {
            "S.assets": {"type": "cdk:asset-manifest", "properties": {"file": "S.assets.json"}},
            "S": {
                "type": "aws:cloudformation:stack",
                "environment": "aws://unknown-account/unknown-region",
                "properties": {"templateFile": "S.template.json"},
                "dependencies": ["S.assets"],
            },
        }
        (out / "S.template.json").write_text(json.dumps({"Resources": resources}))
        (out / "S.assets.json").write_text(json.dumps({"version": "55.0.0", "files": listed, "dockerImages": {}}))
        (out / "manifest.json").write_text(json.dumps({"version": "55.0.0", "artifacts": artifacts}))
        sources = find_sources(read_assembly(out), TARGET, root, overrides)
        return {place.logical_id: source for place, source in sources.items()}

    return find


PYTHON = {"Runtime": "python3.12", "Handler": "app.handle"}
NODE = {"Runtime": "nodejs22.x", "Handler": "index.handler"}


def root_of(source: FunctionSource | NoSource) -> str:
    assert isinstance(source, FunctionSource), source
    return source.root.name


def test_copies_of_folders_with_and_without_installed_packages(found):
    ours = {"a/app.py": "A = 1", "a/lib.py": "L", "b/app.py": "A = 1", "b/lib.py": "other", "c/app.py": "C"}
    sources = found(
        ours,
        {
            "Copy": ({"app.py": "A = 1", "lib.py": "L"}, PYTHON),
            "Bundled": ({"app.py": "C", "requests/__init__.py": "…", "requests-2.dist-info/RECORD": ""}, PYTHON),
            "Package": ({"pkg/app.py": "C"}, {**PYTHON, "Handler": "pkg.app.handle"}),
        },
    )
    assert root_of(sources["Copy"]) == "a"
    assert root_of(sources["Bundled"]) == "c"
    assert isinstance(sources["Package"], NoSource)


def test_code_that_is_in_several_places_or_none_is_named_with_the_remedy(found):
    sources = found(
        {"a/app.py": "A", "b/app.py": "A"},
        {"Twice": ({"app.py": "A"}, PYTHON), "Nowhere": ({"app.py": "elsewhere"}, PYTHON)},
    )
    assert sources["Twice"] == NoSource(
        "Twice",
        "Its code is in several places, which are alike: a, b.",
        'Say where it is in stagedoor.toml: [live.functions."Twice"] source = "…".',
    )
    assert sources["Nowhere"].reason == "Its code is not in this repository as it was deployed."


def test_stagedoor_toml_has_the_last_word(found):
    named = Override("Tw*", "b", "app.other")
    sources = found({"a/app.py": "A", "b/app.py": "A"}, {"Twice": ({"app.py": "A"}, PYTHON)}, named)
    assert (root_of(sources["Twice"]), sources["Twice"].handler) == ("b", "app.other")


def test_bundles_by_the_modules_that_they_name(found):
    bundle = "// node_modules/uuid/index.js\nvar u;\n\n// src/shared.ts\nvar s;\n\n// src/api/index.ts\nvar h;\n"
    mapped = {
        "index.mjs": "minified",
        "index.mjs.map": json.dumps({"sources": ["../../src/shared.ts", "../../jobs/run.ts"]}),
    }
    sources = found(
        {"src/api/index.ts": "", "src/shared.ts": "", "other/src/api/index.ts": "", "jobs/run.ts": ""},
        {"Commented": ({"index.js": bundle}, NODE), "Mapped": (mapped, NODE)},
    )
    commented, by_map = sources["Commented"], sources["Mapped"]
    assert isinstance(commented, FunctionSource)
    assert isinstance(by_map, FunctionSource)
    assert commented.entry.parts[-4:] == ("repository", "src", "api", "index.ts")
    assert (by_map.entry.name, by_map.output) == ("run.ts", "index.mjs")


def test_inline_code_layers_and_what_cannot_run_here(found):
    layer = {"Content": {"S3Bucket": "b", "S3Key": "Layer.zip"}}
    inline = {**PYTHON, "Handler": "index.handle", "Code": {"ZipFile": "def handle(e, c): return 1"}}
    with_layers = {**inline, "Layers": [{"Ref": "Layer"}, "arn:aws:lambda:us-east-1:1:layer:x:1"]}
    java = {"Runtime": "java21", "Handler": "x.Y"}
    sources = found(
        {"layers/python/shared.py": "S"},
        {
            "Layer": ({"python/shared.py": "S"}, layer),
            "Inline": ({}, with_layers),
            "Java": ({"x.class": ""}, java),
            "Image": ({}, {"PackageType": "Image", "Code": {"ImageUri": "x"}}),
        },
    )
    function = sources["Inline"]
    assert isinstance(function, FunctionSource)
    assert (function.inline, function.elsewhere) == ("def handle(e, c): return 1", 1)
    assert [folder.name for folder in function.layers] == ["layers"]
    assert sources["Java"].reason == "Its runtime is java21."
    assert sources["Image"].reason == "It is a container image."


def test_an_asset_whose_staging_was_disabled_says_where_it_is(found, tmp_path: Path):
    sources = found({"app/app.py": "A", "twin/app.py": "A"}, {"F": ({"app.py": "A"}, PYTHON)})
    assert isinstance(sources["F"], NoSource)
    out = tmp_path / "repository" / "cdk.out"
    template = json.loads((out / "S.template.json").read_text())
    template["Resources"]["F"]["Metadata"] = {"aws:asset:path": str(tmp_path / "repository" / "twin")}
    (out / "S.template.json").write_text(json.dumps(template))
    (source,) = find_sources(read_assembly(out), TARGET, tmp_path / "repository").values()
    assert root_of(source) == "twin"
    shutil.rmtree(out)


def test_our_own_functions_say_where_their_code_is(found):
    def told(folder: str, handler: str, function: dict[str, Any]) -> dict[str, Any]:
        return {**function, "Metadata": {"stagedoor:source": {"folder": folder, "handler": handler}}}

    installed = {"app.py": "A = 1", "requests/__init__.py": "…", "requests-2.0.dist-info/METADATA": ""}
    sources = found(
        {"a/app.py": "A = 1", "b/app.py": "A = 1", "api/create.ts": "T", "api/src/list.mts": "T", "../outside.ts": "T"},
        {
            "Python": (installed, told("b", "app.handle", PYTHON)),
            "Node": ({"index.mjs": "minified"}, told("api", "create.handler", NODE)),
            "Inner": ({"index.js": "minified"}, told("api", "src/list.handler", NODE)),
            "Outside": (installed, told("../..", "app.handle", PYTHON)),
            "OutsideToo": ({"index.mjs": ""}, told("api", "../../outside.handler", NODE)),
            "Gone": ({"index.mjs": ""}, told("api", "gone.handler", NODE)),
        },
    )
    assert root_of(sources["Python"]) == "b"
    node, inner = sources["Node"], sources["Inner"]
    assert isinstance(node, FunctionSource)
    assert isinstance(inner, FunctionSource)
    assert (node.entry.name, node.output, node.asset.name) == ("create.ts", "index.mjs", "asset.Node")
    assert (inner.entry.name, inner.output) == ("list.mts", "index.js")
    assert "not in this repository" in sources["Outside"].reason
    assert all(isinstance(sources[name], NoSource) for name in ("Outside", "OutsideToo", "Gone"))
