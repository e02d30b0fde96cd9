"""What a deploy need not know and a person wants to: what changes inside nested stacks, and what goes with a stack.

It takes a call that a deploy does not make for each stack that is deleted, so only a diff asks.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stagedoor.assembly.model import Assembly
from stagedoor.assembly.template import construct_paths_of
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.differences import difference
from stagedoor.deploy.comparison.permissions import permission_changes
from stagedoor.deploy.comparison.resolution import Resolved, resolve, values_of
from stagedoor.deploy.decision import Action
from stagedoor.deploy.plan import KnownStack, Plan, StackPlan, plan_deploy
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.deploy.stacks import read_template
from stagedoor.deploy.swapping.swap import Hotswaps
from stagedoor.naming import StageIdentity


def compared(
    assembly: Assembly,
    identity: StageIdentity,
    clients: Clients,
    known: Sequence[KnownStack],
    hotswaps: Hotswaps,
    into: Path,
) -> Plan:
    """Return the whole plan of an assembly, as a person wants it; `into` is a directory for templates that refer to
    their assets where these would be published. Raises what `address_assets` and `plan_deploy` raise.
    """
    addressed = address_assets(assembly, clients.target, into)
    return with_insides(plan_deploy(addressed, identity, clients, known, hotswaps), clients)


def with_insides(plan: Plan, clients: Clients) -> Plan:
    """Return the plan with the changes of nested stacks among those of the stacks around them, their logical ids behind
    those of the nested stacks (`Nested/Table`), and with the resources of stacks that are deleted.
    """
    return replace(plan, stacks=tuple(_with_insides(stack, clients) for stack in plan.stacks))


def _with_insides(stack: StackPlan, clients: Clients) -> StackPlan:
    if stack.action is Action.DELETE and stack.actual:
        template = dict(read_template(clients, stack.actual.arn) or {})
        gone = resolve(template, values_of(template, stack.actual.parameters, stack.name, clients.target))
        paths = construct_paths_of(template)
        return replace(
            stack,
            difference=difference(gone, Resolved(), paths),
            permissions=permission_changes(gone, Resolved(), paths),
        )
    if stack.comparison is None or stack.action is Action.HOTSWAP:
        return stack
    resources = list(stack.difference.resources)
    permissions = list(stack.permissions)
    for inside in stack.nested:
        inner = difference(inside.before, inside.after, inside.paths).resources
        resources += [replace(change, logical_id=f"{inside.inside}{change.logical_id}") for change in inner]
        permissions += permission_changes(inside.before, inside.after, inside.paths)
    told = replace(stack.difference, resources=tuple(resources))
    return replace(stack, difference=told, permissions=tuple(permissions))
