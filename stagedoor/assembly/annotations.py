"""What an app says of itself to whoever deploys it: errors, which stop the run, warnings and notes.

Source: https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.Annotations.html. The CDK CLI prints all three, and
stops for errors alone unless it is told to be strict.
"""

from collections.abc import Iterator, Sequence

from stagedoor.assembly.model import Annotation, Level
from stagedoor.errors import UserError

SHOWN = 100
"""Annotations of one kind that are shown of one app; a loop can make any number of them."""

LENGTH = 1_000
"""Characters of one, and of the path of the construct that it is about, that are shown."""


class AppErrors(UserError):
    """The app says of itself that it is not to be deployed as it is."""

    id = "app-has-errors"


def check_annotations(annotations: Sequence[Annotation]) -> None:
    """Raise `AppErrors` where the app says that something in it is wrong."""
    errors = [said for said in annotations if said.level is Level.ERROR]
    if errors:
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        raise AppErrors(
            f"The app reports an error at {_short(errors[0].construct_path)!a}: {_short(errors[0].message)}{more}",
            "Correct it; `cdk synth` shows it, too.",
            detail="\n".join(f"{_short(error.construct_path)}: {_short(error.message)}" for error in errors[:SHOWN]),
        )


def shown(annotations: Sequence[Annotation], level: Level) -> Iterator[Annotation]:
    """Yield what the app says at one level, each thing once: as much as may be shown, then how much more there is."""
    said = dict.fromkeys((_short(one.construct_path), _short(one.message)) for one in annotations if one.level is level)
    for path, message in list(said)[:SHOWN]:
        yield Annotation(path, message, level)
    if len(said) > SHOWN:
        yield Annotation("", f"The app says {len(said) - SHOWN} more such things; `cdk synth` shows them.", level)


def _short(message: str) -> str:
    return message if len(message) <= LENGTH else message[: LENGTH - 1] + "…"
