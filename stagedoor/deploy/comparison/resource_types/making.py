"""Makes the table of resource types from `@aws-cdk/aws-service-spec`, AWS's own and weekly renewed specification.

It is the source that `cdk diff` reads: CloudFormation's registry schemas, with the replacements that those leave out
(`maybe`, and types that are not in the registry). Of its 2.6 MB, 40 MB unpacked, an eighth is kept: names, what is
required, what replaces, and attributes, in a zip with a member for each service, so that a plan unpacks what it needs.
The other sources that were weighed: CloudFormation's `DescribeType` knows the newest, but costs a call for each type
and a permission that CDK's deploy role lacks, so it has only the last word (`account_checks.py`); cfn-lint's schemas
have no `maybe` and come with sixteen packages; a change set is exact, but making one changes the account.

    npm pack @aws-cdk/aws-service-spec && tar -xf aws-cdk-aws-service-spec-*.tgz package/db.json.gz
    python -m stagedoor.deploy.comparison.resource_types.making package/db.json.gz VERSION
"""

import gzip
import json
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("types.zip")
_EPOCH = (1980, 1, 1, 0, 0, 0)

Row = dict[str, Any]


def table(database: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the table's members by service (`AWS::Lambda`): `types` by name, and the `shapes` of their properties.

    A property is `[flags, shape]`: `y` or `m` where a change replaces or may replace the resource, `r` where it is
    required, `*` where it maps free names to values of the shape; the shape is None where it has no named members.
    """
    schema = database["schema"]
    shapes = {entity["$id"]: entity["properties"] for entity in schema["typeDefinition"]["entities"]}
    members: dict[str, dict[str, Any]] = {}
    for resource in schema["resource"]["entities"]:
        name = resource["cloudFormationType"]
        member = members.setdefault(name.rpartition("::")[0], {"types": {}, "shapes": {}})
        properties = _rows(resource["properties"])
        for path in resource.get("additionalReplacementProperties", []):
            if path[0] in properties:  # a part of its value replaces; which part is not kept
                properties[path[0]][0] = "m" + properties[path[0]][0].lstrip("m")
        attributes = sorted(resource["attributes"])
        member["types"][name] = {"properties": properties, "attributes": attributes}
        _add_shapes(member["shapes"], (row[1] for row in properties.values()), shapes)
    return members


def _add_shapes(known: dict[str, Any], wanted: Iterable[str | None], shapes: Mapping[str, Any]) -> None:
    waiting = [shape for shape in wanted if shape is not None]
    while waiting:
        shape = waiting.pop()
        if shape not in known:
            known[shape] = _rows(shapes[shape])
            waiting += [row[1] for row in known[shape].values() if row[1] is not None]


def _rows(properties: Mapping[str, Any]) -> Row:
    rows = {}
    for name, definition in sorted(properties.items()):
        flags = {"yes": "y", "maybe": "m"}.get(definition.get("causesReplacement", ""), "")
        flags += "r" if definition.get("required") else ""
        shape, mapped = _shape(definition)
        rows[name] = [flags + ("*" if mapped else ""), shape]
    return rows


def _shape(definition: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the one shape that a value can have, and whether it is behind free names; none where there is a choice."""
    kind, mapped = definition["type"], False
    if kind["type"] == "union" or definition.get("previousTypes"):
        return None, False
    while kind["type"] in ("array", "map"):
        mapped = mapped or kind["type"] == "map"
        kind = kind["element"]
    return (kind["reference"]["$ref"], mapped) if kind["type"] == "ref" else (None, False)


def write(database: Path, version: str, into: Path = TABLE) -> None:
    """Write the table of the specification in `database` (`db.json.gz`): the same bytes for the same specification."""
    with gzip.open(database) as file:
        members = table(json.load(file))
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, member in {**members, "version": {"aws-service-spec": version}}.items():
            place = zipfile.ZipInfo(f"{name.replace('::', '-')}.json", _EPOCH)
            place.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(place, json.dumps(member, separators=(",", ":"), sort_keys=True))


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
