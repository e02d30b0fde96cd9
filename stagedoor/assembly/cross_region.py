"""What CDK's own custom resources call the values that they carry from one region to another.

`crossRegionReferences` writes each value into an SSM parameter of the importing stack's region, called
`/cdk/exports/<importing stack's name>/<id>`, and marks it as in use by a tag that ends in that stack's name
(aws-cdk-lib, `core/lib/custom-resource-provider/cross-region-export-providers/`). `EdgeFunction` calls its own
`/cdk/EdgeFunctionArn/<region>/<construct's path>` (`aws-cloudfront/lib/experimental/edge-function.js`).
"""

import re
from collections.abc import Mapping
from typing import Any

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import properties_of, with_resources, with_strings

READER = "Custom::CrossRegionExportReader"
_EDGE = re.compile(r"(?<=/cdk/EdgeFunctionArn/)([a-z0-9-]+/)(?=.)")


def with_own_parameters(template: Template, stack_names: Mapping[str, str], prefix: str) -> Template:
    """Return the template with the stage's stack names in the parameters' names and in the readers' prefix, and the
    stage's own prefix in the names of the parameters that carry edge functions.
    """
    names = "|".join(re.escape(name) for name in sorted(stack_names, key=len, reverse=True))
    pattern = re.compile(rf"(?<=/cdk/exports/)({names})(?=/)")

    def own(text: str) -> str:
        text = pattern.sub(lambda found: stack_names[found[1]], text)
        return _EDGE.sub(lambda found: f"{found[1]}{prefix}/", text)

    renamed: Template = with_strings(template, own)

    def reader(_logical_id: str, resource: dict[str, Any]) -> dict[str, Any]:
        props = properties_of(resource).get("ReaderProps")
        if resource["Type"] != READER or not isinstance(props, dict):
            return resource
        given = props.get("prefix")
        mine = stack_names.get(given, given) if isinstance(given, str) else given
        return {**resource, "Properties": {**properties_of(resource), "ReaderProps": {**props, "prefix": mine}}}

    return with_resources(renamed, reader)
