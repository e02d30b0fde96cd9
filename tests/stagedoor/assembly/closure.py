"""What must hold between the templates of an assembly: everything that is referred to is there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stagedoor.assembly.model import Assembly, FileAsset
from stagedoor.assembly.named_types import NAMED

PSEUDO = "AWS::"


def dangling(assembly: Assembly, elsewhere: frozenset[str] = frozenset()) -> list[str]:
    """References that lead nowhere; `elsewhere` are exports of other apps."""
    templates = dict(all_templates(assembly))
    exported = {name for template in templates.values() for name in export_names(template)}
    stacks = {stack.name for stack in assembly.stacks}
    keys = {asset.key for stack in assembly.stacks for asset in stack.assets if isinstance(asset, FileAsset)}
    lost = []
    for name, template in templates.items():
        there = {*template.get("Resources", {}), *template.get("Parameters", {})}
        for function, argument in functions(template):
            match function, argument:
                case "Ref", str(target) if not target.startswith(PSEUDO) and target not in there:
                    lost.append(f"{name}: Ref {target}")
                case "Fn::GetAtt", [str(target), *_] if target not in there:
                    lost.append(f"{name}: Fn::GetAtt {target}")
                case "Fn::ImportValue", str(export) if export not in exported | elsewhere:
                    lost.append(f"{name}: Fn::ImportValue {export}")
                case "Fn::GetStackOutput", {"StackName": str(stack)} if stack not in stacks:
                    lost.append(f"{name}: Fn::GetStackOutput {stack}")
                case "S3Key", str(key) if key not in keys:
                    lost.append(f"{name}: S3Key {key}")
                case "TemplateURL", url if text_of(url).rsplit("/", 1)[-1] not in keys:
                    lost.append(f"{name}: TemplateURL {text_of(url)}")
    return lost


def claimed(assembly: Assembly) -> set[str]:
    """Names that an account and region can have only once: stacks, exports and literal physical names."""
    names = {f"stack {stack.name}" for stack in assembly.stacks}
    for _, template in all_templates(assembly):
        names |= {f"export {name}" for name in export_names(template)}
        for resource in template.get("Resources", {}).values():
            for named in (named for named in NAMED.get(resource["Type"], ()) if not named.within):
                value: Any = resource.get("Properties", {})
                for part in named.property.split("."):
                    value = value.get(part) if isinstance(value, dict) else None
                names |= {f"{resource['Type']} {value}"} if isinstance(value, str) else set()
    return names


def all_templates(assembly: Assembly) -> Iterator[tuple[str, dict[str, Any]]]:
    for stack in assembly.stacks:
        paths: list[Path] = [stack.template_path]
        paths += [asset.source for asset in stack.assets if isinstance(asset, FileAsset) and asset.is_template]
        for path in paths:
            yield f"{stack.id}:{path.name}", json.loads(path.read_text())


def export_names(template: dict[str, Any]) -> set[str]:
    exports = [output["Export"]["Name"] for output in template.get("Outputs", {}).values() if "Export" in output]
    return {name if isinstance(name, str) else json.dumps(name) for name in exports}


def functions(value: Any) -> Iterator[tuple[str, Any]]:
    """Each key with its value, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from functions(item)
    elif isinstance(value, list):
        for item in value:
            yield from functions(item)


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return "".join(text_of(item) for item in items)
