"""The target's permissions boundary on every identity that a template makes.

An execution role may be held by IAM to create roles with the boundary alone (`iam:PermissionsBoundary`), as that of
infra/target.py is: then an app whose roles lack it could not be deployed, and no app knows of it.
"""

from stagedoor.assembly.model import Template

BOUNDED_TYPES = frozenset({"AWS::IAM::Role", "AWS::IAM::User"})


def with_boundary(template: Template, boundary: str | None) -> Template:
    """Return the template with the boundary, an ARN, on each role and user; in the place of one that the app names."""
    resources = template.get("Resources", {})
    identities = [name for name, each in resources.items() if each.get("Type") in BOUNDED_TYPES]
    if boundary is None or not identities:
        return template
    bounded = {
        name: {
            **resources[name],
            "Properties": {**resources[name].get("Properties", {}), "PermissionsBoundary": boundary},
        }
        for name in identities
    }
    return {**template, "Resources": {**resources, **bounded}}
