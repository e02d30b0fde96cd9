"""What a function's author can say of its bundle."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PythonOptions:
    """How a Python function is bundled. `boto3`: with the boto3 of its lock, not the one that Lambda brings."""

    boto3: bool = False


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How a function in TypeScript or JavaScript is bundled by esbuild.

    `format` is `esm` or `cjs`. `external` are packages that the runtime or a layer brings (`@aws-sdk/*` is always one
    of them); `install` are packages that cannot be bundled, such as those with native parts: they are installed beside
    the bundle, for Lambda's platform, in the version that `package-lock.json` has.
    """

    format: str = "esm"
    minify: bool = False
    source_map: bool = True
    external: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
