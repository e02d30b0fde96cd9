"""The target's permissions boundary on every identity that a template makes.

An execution role may be held by IAM to create roles with the boundary alone (`iam:PermissionsBoundary`), as that of
infra/target.py is: then an app whose roles lack it could not be deployed, and no app knows of it.
"""

from typing import Any

from stagedoor.assembly.model import Template

BOUNDED_TYPES = ("AWS::IAM::Role", "AWS::IAM::User")


def with_boundary(template: Template, boundary: str | None) -> Template:
    """Return the template with the boundary, an ARN, on each role and user; in the place of one that the app names.

    What is not of a template's shape stays as it is: CloudFormation refuses it.
    """
    resources = template.get("Resources")
    if boundary is None or not isinstance(resources, dict):
        return template
    bounded = {name: _bounded(each, boundary) for name, each in resources.items()}
    return template if bounded == resources else {**template, "Resources": bounded}


def _bounded(resource: Any, boundary: str) -> Any:
    if not isinstance(resource, dict) or resource.get("Type") not in BOUNDED_TYPES:
        return resource
    properties = resource.get("Properties") or {}
    if not isinstance(properties, dict):
        return resource
    return {**resource, "Properties": {**properties, "PermissionsBoundary": boundary}}
