"""What CDK's own custom resources call the values that they carry from one region to another.

`crossRegionReferences` writes each value into an SSM parameter of the importing stack's region, called
`/cdk/exports/<importing stack's name>/<id>`, and marks it as in use by a tag that ends in that stack's name
(aws-cdk-lib, `core/lib/custom-resource-provider/cross-region-export-providers/`).
"""

import re
from collections.abc import Mapping
from typing import Any

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import properties_of, with_resources, with_strings

READER = "Custom::CrossRegionExportReader"


def with_own_parameters(template: Template, stack_names: Mapping[str, str]) -> Template:
    """Return the template with the stage's stack names in the parameters' names and in the readers' prefix."""
    names = "|".join(re.escape(name) for name in sorted(stack_names, key=len, reverse=True))
    pattern = re.compile(rf"(?<=/cdk/exports/)({names})(?=/)")
    renamed: Template = with_strings(template, lambda text: pattern.sub(lambda found: stack_names[found[1]], text))

    def reader(_logical_id: str, resource: dict[str, Any]) -> dict[str, Any]:
        props = properties_of(resource).get("ReaderProps")
        if resource["Type"] != READER or not isinstance(props, dict):
            return resource
        prefix = props.get("prefix")
        own = stack_names.get(prefix, prefix) if isinstance(prefix, str) else prefix
        return {**resource, "Properties": {**properties_of(resource), "ReaderProps": {**props, "prefix": own}}}

    return with_resources(renamed, reader)
