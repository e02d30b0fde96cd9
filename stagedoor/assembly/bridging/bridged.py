"""The rewriting itself: templates in, templates with bridges out."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stagedoor.assembly.bridged_functions import DEFAULT_TIMEOUT, BridgedFunction
from stagedoor.assembly.bridging.eligibility import MADE_BY_MACRO, Around, variables_of, why_deployed
from stagedoor.assembly.bridging.model import LONGEST_TIMEOUT, Bridges
from stagedoor.assembly.bridging.network import CANNOT_TELL, cannot_tell
from stagedoor.assembly.bridging.places import FUNCTION, Place, Places, Where
from stagedoor.assembly.bridging.queues import HELD, Queues, queues_of, visibility, with_visibility
from stagedoor.assembly.expressions import evaluate
from stagedoor.assembly.model import FileAsset, Packaging, Stack, Template
from stagedoor.assembly.target_names import assets_bucket
from stagedoor.assembly.template import construct_paths_of, properties_of, resources, section, with_functions
from stagedoor.assembly.template_tree import TemplateTree
from stagedoor.target import Target

LAYER = "StagedoorBridgeLayer"
"""The logical id of the layer in each template that has functions to be live."""

_VERSION = "AWS::Lambda::Version"
_MARK = "STAGEDOOR_LIVE_STAGE"
_EMULATED_RUNTIME = "provided.al2023"
_DIGITS = 8


def bridge_asset(bridges: Bridges, source: Path, target: Target) -> FileAsset:
    """Return what is to be published for the templates that `with_bridges` returns, given where the archive is."""
    at = _at(bridges, target)
    return FileAsset(bridges.digest, source, Packaging.FILE, at["S3Bucket"], at["S3Key"], "Stagedoor's bridge")


def needs_archive(tree: TemplateTree) -> bool:
    """Whether a template, or one nested in it, has the bridge's archive in it."""
    return any(
        LAYER in section(part.template, "Resources")
        or any(_MARK in variables_of(resource) for _, resource in resources(part.template))
        for part in tree.all()
    )


def with_bridges(
    stacks: Iterable[Stack], trees: Mapping[str, TemplateTree], bridges: Bridges
) -> tuple[dict[str, TemplateTree], tuple[BridgedFunction, ...]]:
    """Return a stage's templates with bridges, by the ids of their stacks, and all of the stage's functions.

    Templates that have bridges already stay as they are.
    """
    places = Places(trees)
    queues, around = queues_of(places), Around(places)
    paths = {stack.id: stack.construct_paths for stack in stacks}
    functions = {
        place: _function(place, resource, paths[place.where[0]], around, queues, bridges)
        for place, resource in places.of_type(FUNCTION, MADE_BY_MACRO)
    }
    able = frozenset(place for place, function in functions.items() if function.live)
    live = frozenset(place for place in able if functions[place].is_called(bridges.functions))
    change = _Change(places, bridges, able, live, queues)
    told = [
        replace(function, live=False, reason="It was not asked for.") if place in able - live else function
        for place, function in functions.items()
    ]
    return {name: change.tree((name,), tree) for name, tree in trees.items()}, tuple(told)


def _function(
    place: Place,
    resource: dict[str, Any],
    paths: Mapping[str, str],
    around: Around,
    queues: Queues,
    bridges: Bridges,
) -> BridgedFunction:
    properties, scope = properties_of(resource), around.places.scope(place.where)
    template = around.places.template(place.where)
    reason = _MACRO if resource["Type"] == MADE_BY_MACRO else why_deployed(place, resource, around, bridges)
    notes = [] if reason else [HELD] * (place in queues.held)
    if not reason and not bridges.emulator and cannot_tell(around.places, place):
        notes.append(CANNOT_TELL)
    runtime, handler = (evaluate(properties.get(name, ""), scope) for name in ("Runtime", "Handler"))
    return BridgedFunction(
        stack=place.where[0],
        logical_id=place.logical_id,
        construct_path={**paths, **construct_paths_of(template)}.get(
            place.logical_id, "/".join((*place.where, place.logical_id))
        ),
        runtime=runtime if isinstance(runtime, str) else "",
        handler=handler if isinstance(handler, str) else "",
        timeout_s=_seconds(variables_of(resource).get("STAGEDOOR_LIVE_TIMEOUT", _timeout(properties)), around, place),
        live=not reason,
        reason=reason or " ".join(notes),
        nested=place.where[1:],
    )


_MACRO = "A macro makes it while it is deployed (AWS::Serverless), so that nothing can be added to it before."


def _timeout(properties: Mapping[str, Any]) -> Any:
    return properties.get("Timeout", DEFAULT_TIMEOUT)


def _seconds(value: Any, around: Around, place: Place) -> int | None:
    text = evaluate(value, around.places.scope(place.where))
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None


class _Change:
    """What bridging does to the templates of a stage. `able` are the functions that can be live, `live` those that are.

    Layer and queues follow from those that can be: then only functions change when bridges are put in or taken out,
    which needs no CloudFormation.
    """

    def __init__(
        self, places: Places, bridges: Bridges, able: frozenset[Place], live: frozenset[Place], queues: Queues
    ) -> None:
        self._places = places
        self._bridges = bridges
        self._able = able
        self._live = live
        self._held = queues.held
        self._raised = queues.raised(able)

    def tree(self, where: Where, tree: TemplateTree) -> TemplateTree:
        """Return a template, and those nested in it, with bridges."""
        nested = {logical_id: self.tree((*where, logical_id), child) for logical_id, child in tree.nested.items()}
        return replace(tree, template=self._template(where, tree), nested=nested)

    def _template(self, where: Where, tree: TemplateTree) -> Template:
        changed: dict[str, Any] = {}
        for logical_id, resource in resources(tree.template):
            place = Place(where, logical_id)
            if place in self._live and _MARK not in variables_of(resource):
                changed[logical_id] = self._bridged(place, resource)
            elif place in self._raised:
                changed[logical_id] = with_visibility(resource, visibility(self._places, place))
        if not self._bridges.emulator and any(place.where == where for place in self._able):
            changed[LAYER] = self._layer(tree)
        all_resources = {**section(tree.template, "Resources"), **changed}
        template = {**tree.template, "Resources": all_resources} if changed else tree.template
        return with_renamed(template, self._new_versions(where, tree, changed))

    def _bridged(self, place: Place, resource: dict[str, Any]) -> dict[str, Any]:
        properties, variables = properties_of(resource), variables_of(resource)
        timeout = _timeout(properties)
        ours = self._bridges.variables(timeout, variables.get("AWS_LAMBDA_EXEC_WRAPPER"))
        if self._bridges.emulator:
            ours = {**ours, **({"AWS_ENDPOINT_URL": value} if (value := variables.get("AWS_ENDPOINT_URL")) else {})}
        raised = timeout if place in self._held else LONGEST_TIMEOUT
        return {
            **resource,
            "Properties": {
                **properties,
                **self._program(properties, place),
                "Environment": {**section(properties, "Environment"), "Variables": {**variables, **ours}},
                "Timeout": raised,
            },
        }

    def _program(self, properties: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """Return by which properties the bridge comes into the sandbox."""
        if self._bridges.emulator:
            return {"Code": self._archive(place.where), "Runtime": _EMULATED_RUNTIME}
        return {"Layers": [*properties.get("Layers", []), {"Ref": LAYER}]}

    def _layer(self, tree: TemplateTree) -> dict[str, Any]:
        content = _at(self._bridges, tree.scope.target)
        description = "Relays invocations to a developer's machine (stagedoor dev)"
        return {
            "Type": "AWS::Lambda::LayerVersion",
            "Properties": {"Content": content, "Description": description},
        }

    def _archive(self, where: Where) -> dict[str, str]:
        return _at(self._bridges, self._places.scope(where).target)

    def _new_versions(self, where: Where, tree: TemplateTree, changed: Mapping[str, Any]) -> dict[str, str]:
        """Return new logical ids for the versions of functions that changed: Lambda publishes none for an old one."""
        names = {}
        for logical_id, resource in resources(tree.template):
            if resource["Type"] != _VERSION:
                continue
            function = self._places.function_behind(properties_of(resource).get("FunctionName"), where)
            if function in self._live and function is not None and function.logical_id in changed:
                written = json.dumps([changed[function.logical_id], self._bridges.digest], sort_keys=True)
                digest = hashlib.sha256(written.encode()).hexdigest()[:_DIGITS]
                names[logical_id] = f"{logical_id[: 255 - len('Live') - _DIGITS]}Live{digest}"
        return names


def _at(bridges: Bridges, target: Target) -> dict[str, str]:
    return {"S3Bucket": assets_bucket(target), "S3Key": f"{bridges.digest}.zip"}


def with_renamed(template: Template, names: Mapping[str, str]) -> Template:
    """Return the template with resources under other logical ids, and all that refers to them there."""
    if not names:
        return template
    moved = {names.get(key, key): value for key, value in section(template, "Resources").items()}
    template = {**template, "Resources": {key: _with_dependencies(value, names) for key, value in moved.items()}}
    template = with_functions(template, "Ref", lambda name: names.get(name, name) if isinstance(name, str) else name)
    template = with_functions(template, "Fn::GetAtt", lambda argument: _attribute(argument, names))
    renamed: Template = with_functions(template, "Fn::Sub", lambda argument: _substituted(argument, names))
    return renamed


def _with_dependencies(resource: Any, names: Mapping[str, str]) -> Any:
    match resource:
        case {"DependsOn": str(one)}:
            return {**resource, "DependsOn": names.get(one, one)}
        case {"DependsOn": [*several]}:
            return {**resource, "DependsOn": [names.get(one, one) if isinstance(one, str) else one for one in several]}
    return resource


def _attribute(argument: Any, names: Mapping[str, str]) -> Any:
    match argument:
        case [str(name), *attribute]:
            return [names.get(name, name), *attribute]
        case str(text):
            head, dot, rest = text.partition(".")
            return f"{names.get(head, head)}{dot}{rest}"
    return argument


def _substituted(argument: Any, names: Mapping[str, str]) -> Any:
    pattern = re.compile(r"\$\{(" + "|".join(map(re.escape, names)) + r")(?=[.}])")
    match argument:
        case str(text):
            return pattern.sub(lambda found: "${" + names[found[1]], text)
        case [str(text), variables]:
            return [pattern.sub(lambda found: "${" + names[found[1]], text), variables]
    return argument
