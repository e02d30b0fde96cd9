"""How much of what an app says of itself is shown."""

import pytest

from stagedoor.assembly.annotations import LENGTH, SHOWN, AppErrors, check_annotations, shown
from stagedoor.assembly.model import Annotation, Level


def said(level: Level, *messages: str) -> list[Annotation]:
    return [Annotation("Only/Thing", message, level) for message in messages]


def test_each_thing_is_shown_once_at_its_level() -> None:
    everything = [*said(Level.WARNING, "odd", "odd", "old"), *said(Level.NOTE, "by the way")]
    assert [one.message for one in shown(everything, Level.WARNING)] == ["odd", "old"]
    assert [one.message for one in shown(everything, Level.NOTE)] == ["by the way"]
    check_annotations(everything)


def test_a_loop_of_long_ones_is_cut_short() -> None:
    many = said(Level.WARNING, *(f"{number} {'x' * 5_000}" for number in range(SHOWN + 7)))
    *some, last = shown(many, Level.WARNING)
    assert (len(some), {len(one.message) for one in some}) == (SHOWN, {LENGTH})
    assert last.message == "The app says 7 more such things; `cdk synth` shows them."


def test_many_errors_make_one_error_of_bounded_length() -> None:
    with pytest.raises(AppErrors) as stopped:
        check_annotations(said(Level.ERROR, *(f"{number} {'x' * 5_000}" for number in range(500))))
    assert stopped.value.what.endswith("… (and 499 more errors)")
    assert len(stopped.value.detail) < SHOWN * (LENGTH + 20)
