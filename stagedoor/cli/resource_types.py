"""Source code that tells type checkers what an app's code can be bound to: for Python a stub, for TypeScript
declarations. Equal resources give equal bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from stagedoor.assembly.model import BindableResource
from stagedoor.runtime.resources import KINDS
from stagedoor.runtime.variables import STORED

PYTHON = "stagedoor_resources.pyi"
TYPESCRIPT = "stagedoor-resources.d.ts"
PACKAGE = "@stagedoor/runtime"
"""How the files are called, which `synth/sources.py` leaves out of what decides an assembly, and our npm package."""

_MADE_BY = "Made by `stagedoor types` from what the app's program says. Run it again where that changes."


def python_stub(resources: Iterable[BindableResource]) -> str:
    """Return the stub of the module `stagedoor_resources`, from which `stagedoor.runtime` has its types.

    Every kind is in it, so that a name of a kind that the app has none of is an error, too.
    """
    kinds = _by_kind(resources)
    lines = [f"# {_MADE_BY}", ""]
    for kind, found in kinds.items():
        names: list[str] = []
        for resource in found:
            lines += [f"class _{kind}_{resource.name}:"]
            for name in resource.properties:
                lines += ["    @property", f"    def {name}(self) -> str: ..."]
            lines += ["    ..."] if not resource.properties else []
            names.append(f"    {resource.name}: _{kind}_{resource.name}")
        lines += [f"class _{kind}:", *(names or ["    ..."]), ""]
    lines += [f"{kind}: _{kind}" for kind in kinds]
    return "\n".join(lines) + "\n"


def typescript_declarations(resources: Iterable[BindableResource]) -> str:
    """Return declarations that are merged into those of `@stagedoor/runtime`."""
    return "\n".join(
        [
            f"// {_MADE_BY}",
            "",
            'import "@stagedoor/runtime";',
            "",
            'declare module "@stagedoor/runtime" {',
            "  interface Resources {",
            *(line for kind, found in _by_kind(resources).items() for line in _declared(kind, found)),
            "  }",
            "}",
            "",
        ]
    )


def _declared(kind: str, resources: Sequence[BindableResource]) -> Iterator[str]:
    yield f"    {kind}: {{"
    for resource in resources:
        properties = [
            "value(): Promise<string>" if kind in STORED and name == "value" else f"readonly {_camel(name)}: string"
            for name in resource.properties
        ]
        yield f"      readonly {resource.name}: {{ {'; '.join(properties)} }};"
    yield "    };"


def _by_kind(resources: Iterable[BindableResource]) -> Mapping[str, Sequence[BindableResource]]:
    """Return resources by kind, every kind of `stagedoor.runtime` included; others it could not be asked for."""
    found: dict[str, list[BindableResource]] = {kind: [] for kind in KINDS}
    for resource in resources:
        if resource.kind in found:
            found[resource.kind].append(resource)
    return found


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
