"""Look at an assembly as what it is: files that a stranger's program wrote.

`reader.py` refuses what the model cannot hold (executable assets, unknown artifacts, paths that lead out). Here the
whole directory is walked, also what no manifest names, and what the stacks want is held against the target and its
rules. What the templates may do in the account is bounded by IAM (see `Target.execution_role`), not here.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stagedoor.assembly.annotations import check_annotations
from stagedoor.assembly.archives import check_archive
from stagedoor.assembly.documents import SYNTH_AGAIN, MalformedAssembly
from stagedoor.assembly.model import Assembly, FileAsset, Packaging
from stagedoor.assembly.rules import NO_RULES, AssemblyRules
from stagedoor.assembly.schema import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from stagedoor.assembly.target_names import resolved
from stagedoor.assembly.template_checks import check_templates
from stagedoor.errors import UserError
from stagedoor.target import Target


class MissingContext(UserError):
    """The app asked for facts about the account that synth could not look up."""

    id = "missing-context"


class ForeignEnvironment(UserError):
    """A stack that wants to live, or to be told of, in another account or region than the target's."""

    id = "foreign-environment"


class ForeignRole(UserError):
    """A stack that wants to be deployed by a role of another account than the target's."""

    id = "foreign-role"


class AssemblyTooLarge(UserError):
    """More stacks, assets, files or bytes than the limits allow."""

    id = "assembly-too-large"


class LinkOutside(UserError):
    """A symbolic link that leads out of its asset, or a file that has another name outside of the assembly."""

    id = "link-outside-assembly"


class SpecialFile(UserError):
    """A named pipe, a socket or a device among the files."""

    id = "special-file"


class EmptyAssembly(UserError):
    """The app has no stack."""

    id = "no-stacks"


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """The most that an assembly may hold; bytes are those of the files, as they lie on disk.

    CloudFormation takes templates of 1 MB at most
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html).
    """

    stacks: int = 100
    assets: int = 1_000
    files: int = 100_000
    file_bytes: int = 1024**3
    total_bytes: int = 4 * 1024**3
    template_bytes: int = 1_000_000


DEFAULT_LIMITS = InspectionLimits()


def inspect_assembly(
    assembly: Assembly, target: Target, limits: InspectionLimits = DEFAULT_LIMITS, rules: AssemblyRules = NO_RULES
) -> None:
    """Raise a `UserError`, each kind with an id of its own, where the assembly holds what it must not."""
    if not assembly.stacks:
        raise EmptyAssembly("The app has no stack to deploy.", "Add a stack, or see which command cdk.json runs.")
    _check_context(assembly)
    check_annotations(assembly.annotations)
    _check_environments(assembly, target)
    _check_roles(assembly, target)
    _check_counts(assembly, limits)
    try:
        _check_files(assembly, limits)
        check_templates(assembly, target, rules, limits.template_bytes)
        for asset in {asset.source: asset for stack in assembly.stacks for asset in stack.assets}.values():
            if isinstance(asset, FileAsset) and asset.packaging is Packaging.FILE:
                check_archive(asset.source, asset.display_name or asset.source.name)
    except OSError as error:
        raise MalformedAssembly(f"The assembly cannot be read: {error.strerror}.", SYNTH_AGAIN) from error


def _check_context(assembly: Assembly) -> None:
    if assembly.missing_context:
        keys = ", ".join(ascii(str(missing.get("key", "?")))[1:-1] for missing in assembly.missing_context)
        raise MissingContext(
            f"The app looks up facts about an account that are not in its context: {keys}.",
            "Run `cdk synth` once with access to the account and commit cdk.context.json.",
        )


def _check_environments(assembly: Assembly, target: Target) -> None:
    for stack in assembly.stacks:
        if stack.account in (target.account, UNKNOWN_ACCOUNT) and stack.region in (target.region, UNKNOWN_REGION):
            continue
        raise ForeignEnvironment(
            f"The stack {stack.display_name!a} is to live in {stack.account!a}, {stack.region!a}; "
            f"the target is {target.account}, {target.region}.",
            "Leave `env` out of the stack, or take it from CDK_DEFAULT_ACCOUNT and CDK_DEFAULT_REGION.",
        )
    for stack in assembly.stacks:
        for arn in stack.notification_arns:
            if resolved(arn, target).split(":")[3:5] != [target.region, target.account]:
                raise ForeignEnvironment(
                    f"The stack {stack.display_name!a} is to tell {arn[:300]!a} what happens to it; "
                    f"the target is {target.account}, {target.region}.",
                    "Name a topic of the target in `notification_arns`, or none.",
                )


def _check_roles(assembly: Assembly, target: Target) -> None:
    """Raise where a stack names a role of another account. One of the target's own is passed over: its operator says
    which are used.
    """
    for stack in assembly.stacks:
        for role in stack.roles:
            account = "".join(resolved(role, target).split(":")[4:5])
            if account.isdecimal() and account != target.account:
                raise ForeignRole(
                    f"The stack {stack.display_name!a} is to be deployed by {role[:300]!a}; "
                    f"the target's account is {target.account}.",
                    "Leave roles out of the stack synthesizer: the target's are used.",
                )


def _check_counts(assembly: Assembly, limits: InspectionLimits) -> None:
    if len(assembly.stacks) > limits.stacks:
        raise _too_large(f"{len(assembly.stacks)} stacks", f"{limits.stacks}")
    assets = sum(len(stack.assets) for stack in assembly.stacks)
    if assets > limits.assets:
        raise _too_large(f"{assets} assets", f"{limits.assets}")


def _check_files(assembly: Assembly, limits: InspectionLimits) -> None:
    sources = {asset.source for stack in assembly.stacks for asset in stack.assets}
    names: Counter[tuple[int, int]] = Counter()
    linked: dict[tuple[int, int], tuple[str, int]] = {}
    total = 0
    for count, entry in enumerate(_walk(assembly.directory), start=1):
        if count > limits.files:
            raise _too_large("files without end", f"{limits.files} files")
        status = entry.stat(follow_symlinks=False)
        name = os.path.relpath(entry.path, assembly.directory)
        if stat.S_ISLNK(status.st_mode):
            _check_link(Path(entry.path), name, sources)
        elif stat.S_ISREG(status.st_mode):
            total += status.st_size
            if status.st_size > limits.file_bytes or total > limits.total_bytes:
                raise _too_large(f"{name!a} of {status.st_size} bytes, {total} so far", f"{limits.total_bytes} bytes")
            if status.st_nlink > 1:
                names[status.st_dev, status.st_ino] += 1
                linked[status.st_dev, status.st_ino] = (name, status.st_nlink)
        elif not stat.S_ISDIR(status.st_mode):
            raise SpecialFile(f"{name!a} in the assembly is neither a file nor a directory.", "Leave it out.")
    for inode, (name, links) in linked.items():
        # As many names within as there are at all: then none of them lies outside.
        if names[inode] < links:
            raise LinkOutside(
                f"{name!a} in the assembly is the same file as one outside of it.",
                "Copy files into assets instead of linking them (with uv: UV_LINK_MODE=copy).",
            )


def _walk(directory: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield every entry below a directory; links are not followed."""
    pending = [str(directory)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)


def _check_link(link: Path, name: str, sources: set[Path]) -> None:
    """An asset directory may hold relative links within itself, as `node_modules/.bin` does; nothing else may."""
    source = next((parent for parent in link.parents if parent in sources), None)
    if source is None or os.path.isabs(os.readlink(link)) or not _end_of(link).is_relative_to(source):
        raise LinkOutside(
            f"{name!a} in the assembly is a link that leads out of its asset.",
            "Set `follow_symlinks` on the asset, so that it holds the file itself.",
        )


def _end_of(link: Path) -> Path:
    """Return where a link leads, whether something is there or not; nowhere inside, for links without an end."""
    try:
        os.stat(link)
    except FileNotFoundError:
        pass
    except OSError:  # the kernel gives up chains and rings of links, and names that are too long
        return Path("/")
    return Path(os.path.realpath(link))


def _too_large(what: str, limit: str) -> AssemblyTooLarge:
    return AssemblyTooLarge(
        f"The assembly holds {what}; the limit is {limit}.", "Exclude what is not needed from its assets, or split it."
    )
