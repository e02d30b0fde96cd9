"""A stack's template with the templates of its nested stacks, which CDK hands over as file assets.

Rewriting a nested template changes its bytes, so its asset's key, so the `TemplateURL` in its parent: `sealed` works
that out from the innermost template outwards.
Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-stack.html
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stagedoor.assembly.conditions import with_conditions
from stagedoor.assembly.documents import SYNTH_AGAIN, MalformedAssembly, read_document
from stagedoor.assembly.expressions import Scope, Unresolved, Value, evaluate, scope_of
from stagedoor.assembly.loops import unrolled
from stagedoor.assembly.model import FileAsset, Stack, Template
from stagedoor.assembly.target_names import resolved
from stagedoor.assembly.template import NESTED, properties_of, resources, strings_in, with_resources, with_strings
from stagedoor.assembly.writer import template_bytes
from stagedoor.target import Target

NESTED_TEMPLATES = 200
NESTED_BYTES = 16_000_000
"""Templates in one stack, and their size; one that is nested twice counts twice. CloudFormation allows 500 resources in
one, each of which may be a nested stack."""


@dataclass(frozen=True, slots=True)
class TemplateTree:
    """A template, what its names stand for, and the nested stacks' templates by logical id.

    `asset` is the file asset that a nested template is published as; a stack's own template has none.
    """

    template: Template
    scope: Scope
    asset: FileAsset | None = None
    nested: Mapping[str, "TemplateTree"] = field(default_factory=dict)

    def all(self) -> Iterator["TemplateTree"]:
        """Yield this template and each one nested in it."""
        yield self
        for child in self.nested.values():
            yield from child.all()

    def changed(self, change: Callable[[Template, Scope], Template]) -> "TemplateTree":
        """Return the tree with each template replaced by what `change` makes of it."""
        nested = {logical_id: child.changed(change) for logical_id, child in self.nested.items()}
        return replace(self, template=change(self.template, self.scope), nested=nested)

    def in_scope(self, stack_name: Value, given: Mapping[str, Value], exported: frozenset[str]) -> "TemplateTree":
        """Return the tree with the scopes that follow from the stack's name, its parameters and the app's exports.

        A nested stack's name is made by AWS, and its parameters are what its parent passes on.
        """
        scope = scope_of(self.template, self.scope.target, stack_name, given, exported)
        scope = with_conditions(scope, self.template)
        definitions = dict(resources(self.template))
        nested = {
            logical_id: child.in_scope(Unresolved.OWN, _passed_on(definitions[logical_id], scope), exported)
            for logical_id, child in self.nested.items()
        }
        return replace(self, scope=scope, nested=nested)


def load_tree(directory: Path, stack: Stack, target: Target) -> TemplateTree:
    """Read a stack's template and those nested in it; `directory` is the assembly's."""
    assets = [asset for asset in stack.assets if isinstance(asset, FileAsset)]
    return _Loader(directory, assets, target).load(stack.template_path, None)


@dataclass(slots=True)
class _Loader:
    directory: Path
    assets: list[FileAsset]
    target: Target
    loaded: int = 0
    size: int = 0

    def load(self, path: Path, asset: FileAsset | None) -> TemplateTree:
        self.loaded += 1
        self.size += path.stat().st_size
        # A template that nests itself, or many that nest many, would be read for ever.
        if self.loaded > NESTED_TEMPLATES or self.size > NESTED_BYTES:
            raise MalformedAssembly(
                f"A stack nests more than {NESTED_TEMPLATES} templates or {NESTED_BYTES // 1_000_000} MB of them.",
                SYNTH_AGAIN,
            )
        template = unrolled(read_document(self.directory, self.directory, path.relative_to(self.directory).as_posix()))
        nested = {}
        for logical_id, resource in resources(template):
            child = nested_asset(resource, self.assets)
            if child is not None:
                nested[logical_id] = self.load(child.source, child)
        return TemplateTree(template, Scope(self.target), asset, nested)


def _passed_on(resource: dict[str, Any], scope: Scope) -> dict[str, Value]:
    parameters = properties_of(resource).get("Parameters")
    given = parameters if isinstance(parameters, dict) else {}
    return {name: evaluate(value, scope) for name, value in given.items()}


def nested_asset(resource: dict[str, Any], assets: list[FileAsset]) -> FileAsset | None:
    """Return the asset that a nested stack's address points at, if it points at one of the assembly."""
    if resource["Type"] not in NESTED:
        return None
    url = "".join(strings_in(properties_of(resource).get(NESTED[resource["Type"]])))
    return next((asset for asset in assets if url.endswith(f"/{asset.key}") and asset.source.is_file()), None)


def sealed(tree: TemplateTree) -> tuple[Template, dict[str, tuple[FileAsset, bytes]]]:
    """Return the outermost template as it is to be written, and the nested ones' assets and bytes by their new hash.

    A nested template's new key is the hash of its new bytes, in the folder of the bucket that the old key was in.
    """
    nested: dict[str, tuple[FileAsset, bytes]] = {}
    urls: dict[str, tuple[str, str]] = {}
    for logical_id, child in tree.nested.items():
        inner, inner_nested = sealed(child)
        nested |= inner_nested
        data = template_bytes(inner)
        digest = hashlib.sha256(data).hexdigest()
        assert child.asset is not None  # noqa: S101 - only the outermost template has none
        old = resolved(child.asset.key, child.scope.target)
        folder, slash, _ = old.rpartition("/")
        key = f"{folder}{slash}{digest}.json"
        nested[digest] = (replace(child.asset, claimed_hash=digest, key=key, is_template=True), data)
        urls[logical_id] = (old, key)
    return _with_urls(tree.template, urls), nested


def _with_urls(template: Template, urls: Mapping[str, tuple[str, str]]) -> Template:
    def change(logical_id: str, resource: dict[str, Any]) -> dict[str, Any]:
        if logical_id not in urls:
            return resource
        old, new = urls[logical_id]
        properties, address = properties_of(resource), NESTED[resource["Type"]]
        url = with_strings(properties[address], lambda text: text.replace(old, new))
        return {**resource, "Properties": {**properties, address: url}}

    return with_resources(template, change)
