"""Mistakes that the author of an app makes with our constructs. The app's program ends with their words."""


class ConstructError(Exception):
    """What is wrong, and what to write instead; `where` is the construct's path."""

    def __init__(self, what: str, remedy: str, where: str = "") -> None:
        super().__init__(f"{f'{where}: ' if where else ''}{what} {remedy}")
        self.what = what
        self.remedy = remedy
        self.where = where
