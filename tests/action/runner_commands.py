"""What the runner reads out of a step's lines and files: `ActionCommandManager.cs` and `FileCommandManager.cs` of
https://github.com/actions/runner, rule by rule.
"""

import re
from dataclasses import dataclass, field

_NAMES = """set-output save-state add-mask debug warning error notice group endgroup echo stop-commands add-matcher
remove-matcher set-env add-path internal-set-repo-path"""
REGISTERED = frozenset(_NAMES.split())


@dataclass
class Heard:
    """What one job's lines said to the runner. `lines` are as the log shows them, secrets masked."""

    lines: list[str] = field(default_factory=list)
    annotations: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    stopped: str = ""

    def take(self, text: str) -> None:
        """Read one line."""
        command = self._command(text)
        if self.stopped:
            if command and command[0] == self.stopped:
                self.stopped = ""
            command = None
        if command is None:
            self.lines.append(self.masked(text))
            return
        name, properties, data = command
        if name in ("error", "warning", "notice"):
            self.annotations.append((name, properties, self.masked(data)))
        elif name == "add-mask":
            self.masks.append(data)
        elif name == "set-output":
            self.outputs[properties["name"]] = data
        elif name == "stop-commands":
            self.stopped = data
        elif name in ("group", "endgroup"):
            self.lines.append(f"##[{name}]{data}")
        else:
            self.others.append(name)

    def masked(self, text: str) -> str:
        """Return a text without the secrets that are known so far."""
        for mask in self.masks:
            text = text.replace(mask, "***")
        return text

    def _command(self, text: str) -> tuple[str, dict[str, str], str] | None:
        known = REGISTERED | {self.stopped} - {""}
        found = re.match(r"\s*::([^\s:][^:\s]*)(?:\s+((?:(?!::).)*))?::(.*)\Z", text, re.DOTALL)
        if found and found[1] in known:
            return found[1], _properties(found[2] or "", ","), _unescaped(found[3], property=False)
        found = re.search(r"##\[([^\s\]]+)(?:\s([^\]]*))?\](.*)\Z", text, re.DOTALL)
        if found and found[1] in known:
            return found[1], _properties(found[2] or "", ";"), found[3]
        return None


def lines_of(text: str) -> list[str]:
    """Return lines as .NET's reader parts them: by LF, CR and CRLF."""
    return re.split(r"\r\n|\n|\r", text)


def pairs_of(text: str) -> dict[str, str]:
    """Return what a file such as `GITHUB_OUTPUT` says, in both forms. `ValueError` fails a step."""
    pairs: dict[str, str] = {}
    lines = lines_of(text)
    while lines:
        line = lines.pop(0)
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            name, _, pairs[name] = line.partition("=")
        elif heredoc >= 0:
            name, _, delimiter = line.partition("<<")
            if not name or not delimiter:
                raise ValueError(f"Invalid format {line!r}")
            value = []
            while not lines or lines[0] != delimiter:
                if not lines:
                    raise ValueError(f"Matching delimiter not found {delimiter!r}")
                value.append(lines.pop(0))
            lines.pop(0)
            pairs[name] = "\n".join(value)
        else:
            raise ValueError(f"Invalid format {line!r}")
    return pairs


def _properties(text: str, separator: str) -> dict[str, str]:
    found = (each.partition("=") for each in text.split(separator) if "=" in each)
    return {name.strip(): _unescaped(value, property=True) for name, _, value in found}


def _unescaped(text: str, *, property: bool) -> str:
    pairs = [("%0D", "\r"), ("%0A", "\n")] + ([("%3A", ":"), ("%2C", ",")] if property else []) + [("%25", "%")]
    for escaped, plain in pairs:
        text = text.replace(escaped, plain)
    return text
