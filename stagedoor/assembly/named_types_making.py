"""Makes `named_types.json`: the types that an app may name, as AWS's own specification of resource types has them.

A type is named by an app where all of what identifies it, be it CloudFormation's primary identifier or the variables of
its ARN, are properties that a template sets, and the last of them is a name. Where the ARN's form is not told, a name
counts whose change makes another resource. What the specification does not tell
(names in objects, names that are unique though an ARN is made of an id) is in `named_types.py`, which comes first.

    npm pack @aws-cdk/aws-service-spec && tar -xf aws-cdk-aws-service-spec-*.tgz package/db.json.gz
    python -m stagedoor.assembly.named_types_making package/db.json.gz
"""

import gzip
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("named_types.json")

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_EVERYWHERE = frozenset({"Partition", "Region", "Account"})
_NAME = re.compile(r"(Name|Alias|Prefix|Label|Domain|Identifier|Key|Tag)$")
_AROUND = re.compile(r"(Name|Id|(?<!Role)Arn|Identifier)$")
_REFERS = re.compile(r"(Resource|LogGroup|Membership|Gateway|Environment|Application|Entity|Contact)Identifier$")
"""Properties that tell which resource another belongs to, not what it is called."""


def named_by(resource: Mapping[str, Any]) -> list[str]:
    """Return the properties that identify a resource of this type, its own name last; none where AWS makes one up."""
    properties, template = resource["properties"], resource.get("arnTemplate", "")
    identifier = resource.get("primaryIdentifier", [])
    if not (identifier and all(name in properties for name in identifier)):
        identifier = _of_arn(template, properties) if template else _of_replacement(resource, identifier)
    parts = [name for name in identifier if properties[name]["type"].get("type") == "string"]
    own = [name for name in parts if _is_name(name, resource["name"])]
    return [*(name for name in parts if name != own[-1]), own[-1]] if own else []


def table(database: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return `named_by` for each type of the specification that has a name."""
    resources = sorted(database["schema"]["resource"]["entities"], key=lambda one: str(one["cloudFormationType"]))
    return {resource["cloudFormationType"]: named for resource in resources if (named := named_by(resource))}


def _of_arn(template: str, properties: Mapping[str, Any]) -> list[str]:
    variables = [name for name in _VARIABLE.findall(template) if name not in _EVERYWHERE]
    if not variables:
        return []
    last = variables[-1]
    own = last if last in properties else "Name" if last.endswith("Name") and "Name" in properties else None
    return [*(name for name in variables[:-1] if name in properties), own] if own else []


def _of_replacement(resource: Mapping[str, Any], identifier: list[str]) -> list[str]:
    """Return what is in an ARN of a form that is not told: a name whose change makes another resource, and around it
    what is required and makes another resource, too.
    """
    properties = {name: one for name, one in resource["properties"].items() if one.get("causesReplacement") == "yes"}
    own = [name for name in (f"{resource['name']}Name", "Name") if name in properties]
    if not own or not (len(identifier) == 1 and identifier[0].lower().endswith("arn")):
        return []
    around = [name for name, one in properties.items() if one.get("required") and _AROUND.search(name)]
    return [*(name for name in around if name != own[0]), own[0]]


def _is_name(name: str, short_type: str) -> bool:
    if name.endswith("Id"):
        return name in ("Id", f"{short_type}Id")
    return bool(_NAME.search(name)) and not _REFERS.search(name)


def main() -> None:
    """Write the table from the database named on the command line."""
    with gzip.open(sys.argv[1]) as file:
        rows = table(json.load(file))
    TABLE.write_text(
        "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()) + "\n}\n"
    )


if __name__ == "__main__":
    main()
