"""Exports that the app no longer has and that another stack still imports: they are kept for one more deploy.

When a stack stops using what another exports, CDK takes the export out of the exporting stack, which is deployed first
and so while the importer still imports; CloudFormation refuses that (`Export … cannot be deleted as it is in use by …`,
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html). So such an export stays in
the template with the value that it has, as plain text: an export that is imported may not change either. Resources
that its old value came from, and that the app no longer has, stay with it, since they are still in use. The importer
lets go of both in this deploy, and so they go with the next one.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from stagedoor.assembly.model import FileAsset, Packaging, Template
from stagedoor.assembly.target_names import assets_bucket
from stagedoor.deploy.access import may_not_ask
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.publishing.long_templates import TEMPLATE_BODY_LIMIT, object_url
from stagedoor.deploy.request import Request
from stagedoor.deploy.stacks import ActualStack, is_missing, read_template
from stagedoor.deploy.together import Work, ask
from stagedoor.events import Emit, Event, EventKind

_SECTIONS = ("Resources", "Parameters", "Conditions", "Mappings")
_VARIABLE = re.compile(r"\$\{([^!.}][^.}]*)[^}]*\}")


def keeping_exports(request: Request, actual: ActualStack, emit: Emit) -> Work[Request]:
    """Return the request with the exports in it that another stack still imports, told as a warning."""
    dropped = dropped_exports(request.wanted.template, actual)
    if not dropped:
        return request
    importers = yield from ask(lambda: imported(request.clients, dropped))
    if not importers:
        return request
    for export, names in importers.items():
        message = f"The export {export} is kept for one more deploy: {', '.join(names)} still imports it."
        emit(Event(EventKind.WARNING, request.wanted.name, message=message))
    deployed = yield from ask(lambda: read_template(request.clients, actual.arn))
    template = with_kept_exports(request.wanted.template, deployed or {}, actual, importers)
    body = json.dumps(template, indent=1)
    url = None
    if len(body.encode()) > TEMPLATE_BODY_LIMIT:
        url = yield from ask(lambda: _publish(body, request.clients))
    return replace(request, wanted=replace(request.wanted, template=template), template_url=url, body=body)


def dropped_exports(wanted: Template, actual: ActualStack) -> list[str]:
    """Return the names of exports that the stack has and its new template does not, as far as it says so in plain text.

    Where the new template builds a name, any of the names may be meant, and none counts as dropped.
    """
    exports = [output["Export"]["Name"] for output in wanted.get("Outputs", {}).values() if "Export" in output]
    if not all(isinstance(name, str) for name in exports):
        return []
    return [name for name in actual.exports if name not in exports]


def imported(clients: Clients, exports: Iterable[str]) -> dict[str, list[str]]:
    """Return who imports each of these exports; those that nobody imports are left out, or all if we may not ask."""
    importers: dict[str, list[str]] = {}
    for export in exports:
        try:
            pages = clients.cloudformation.get_paginator("list_imports").paginate(ExportName=export)
            importers[export] = [name for page in pages for name in page["Imports"]]
        except ClientError as error:
            unknown = is_missing(error) or may_not_ask(error)
            if "not imported" not in error.response["Error"]["Message"] and not unknown:
                raise
    return {export: names for export, names in importers.items() if names}


def with_kept_exports(
    wanted: Template, deployed: Mapping[str, Any], actual: ActualStack, exports: Iterable[str]
) -> Template:
    """Return the wanted template with these exports of the deployed one, and with what they came from."""
    kept = copy.deepcopy(wanted)
    names = set(exports)
    for key, output in deployed.get("Outputs", {}).items():
        name = actual.exported.get(key)
        if name not in names:
            continue
        kept.setdefault("Outputs", {})[_free(key, kept["Outputs"])] = {
            "Description": "Kept for one more deploy: another stack still imports it.",
            "Value": actual.outputs[key],
            "Export": {"Name": name},
        }
        _keep(output.get("Value"), kept, deployed)
    return kept


def _publish(body: str, clients: Clients) -> str:
    """Put a template that is too long to be sent into the target's bucket, and return where CloudFormation reads it."""
    digest = hashlib.sha256(body.encode()).hexdigest()
    key = f"{clients.target.trust}/{digest}.template.json"
    asset = FileAsset(digest, Path(), Packaging.FILE, assets_bucket(clients.target), key, is_template=True)
    clients.client("s3", Phase.PUBLISH).put_object(Bucket=asset.bucket, Key=key, Body=body.encode())
    return object_url(clients, asset)


def _free(key: str, outputs: Mapping[str, Any]) -> str:
    return key if key not in outputs else _free(f"{key}Kept", outputs)


def _keep(value: Any, kept: Template, deployed: Mapping[str, Any]) -> None:
    """Take over what a value may name, and what that names in turn, where the wanted template does not have it."""
    for name in set(_names(value)):
        for section in _SECTIONS:
            if name in deployed.get(section, {}) and not any(name in kept.get(other, {}) for other in _SECTIONS):
                kept.setdefault(section, {})[name] = copy.deepcopy(deployed[section][name])
                _keep(deployed[section][name], kept, deployed)


def _names(value: Any) -> Iterator[str]:
    """Yield the names of whatever a value may refer to: too many do no harm, as only what is there is taken over."""
    if isinstance(value, str):
        yield value.split(".")[0]
        yield from _VARIABLE.findall(value)
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _names(inner)
