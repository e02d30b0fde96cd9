"""How durations, and what other programs print, are written on every screen."""


def seconds_text(seconds: float) -> str:
    """Return a duration as people say it: `0.4 s`, `12 s`, `3 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plain(text: str) -> str:
    """Return text without the colours and controls that a program's output may hold."""
    if text.isprintable():
        return text
    from rich.text import Text  # most commands show nothing of this kind, and need not wait for rich

    return Text.from_ansi(text).plain
