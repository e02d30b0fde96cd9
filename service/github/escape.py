"""Text that somebody else wrote, made fit for GitHub's Markdown, and secrets taken out of it.

Nothing here knows what the text is about. Sources: the GitHub Flavored Markdown specification
(https://github.github.com/gfm/), and what GitHub links by itself
(https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls).
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

REDACTED = "[redacted]"
_ZERO_WIDTH_SPACE = "\u200b"
_MIN_SECRET = 4  # a shorter "secret" would redact half of any text

# Terminal colours; control characters; and marks that show text in another order than it has.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~&@$\"']")
_WORDS = ("password", "passwd", "pwd", "secret", "token", "credential", "key")
_NAME = r"(?:password|passwd|pwd|secret|token|credentials?|(?:api|access|private)[_-]?key)[\w.-]{0,40}"

# What a text must hold, in lower case, for a pattern to be worth trying; the pattern; what stands there afterwards.
_SECRETS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = tuple(
    (needles, re.compile(pattern, re.DOTALL), replacement)
    for needles, pattern, replacement in (
        (
            ("private key-----",),
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            REDACTED,
        ),
        (("gh", "glpat-"), r"\b(?:gh[oprsu]_[\w.-]{16,}|github_pat_\w{20,}|glpat-[\w-]{16,})", REDACTED),
        (
            ("xox", "sk-", "sk_", "npm_", "pypi-", "aiza"),
            r"\b(?:xox[a-z]-[\w-]{10,}|sk[-_][\w-]{20,}|npm_\w{30,}|pypi-[\w-]{30,}|AIza[\w-]{35})",
            REDACTED,
        ),
        (("eyj",), r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?", REDACTED),
        (("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", REDACTED),
        (
            ("authorization",),
            r"(?i)((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)(?!\[redacted\])[^\r\n\"']+",
            rf"\1{REDACTED}",
        ),
        (
            ("x-amz-",),
            r"(?i)(x-amz-(?:signature|security-token)=)(?!\[redacted\])[^&\s\"']+",
            rf"\1{REDACTED}",
        ),
        (("://",), r"://(?!\[redacted\]@)[^/\s@\"'<>]{1,2000}@", f"://{REDACTED}@"),
        (
            _WORDS,
            rf"(?i)({_NAME}[\"']?\s*[:=]\s*)([\"'])(?!\[redacted\])(?:(?!\2)[^\r\n])+\2",
            rf"\1\2{REDACTED}\2",
        ),
        (_WORDS, rf"(?i)({_NAME}[\"']?\s*[:=]\s*)(?!\[redacted\]|[\"'])[^\s,;&]+", rf"\1{REDACTED}"),
        # A secret access key that stands alone: 40 characters of base64 that no hash and no path is.
        (
            ("",),
            r"(?<![\w/+])(?=[A-Za-z/+]*\d)(?=[A-Z0-9/+]*[a-z])(?=[a-z0-9/+]*[A-Z])(?!/)[A-Za-z0-9/+]{40}(?![\w/+=])",
            REDACTED,
        ),
    )
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without credentials: of known shapes, announced by a name, or among the given `secrets`."""
    text = plain(text)
    for secret in sorted({each for each in secrets if len(each) >= _MIN_SECRET}, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    lowered = text.lower()
    for needles, pattern, replacement in _SECRETS:
        if any(needle in lowered for needle in needles):
            text = pattern.sub(replacement, text)
    return text


def plain(text: str) -> str:
    """Return `text` without terminal colours, control characters and characters that are not seen; lines end in \\n."""
    return _INVISIBLE.sub("", _TERMINAL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def inline(text: str) -> str:
    """Return `text` for the middle of a line or a table's cell: it means nothing to Markdown and notifies nobody.

    GitHub looks for mentions and references after it has resolved entities, so a character that is not seen parts them.
    """
    text = _entities(" ".join(plain(text).split()))
    text = text.replace("://", f":{_ZERO_WIDTH_SPACE}//")
    return re.sub(r"(&#64;|&#35;|\bwww(?=\.)|\bGH(?=-\d))", rf"\1{_ZERO_WIDTH_SPACE}", text, flags=re.IGNORECASE)


def code(text: str) -> str:
    """Return `text` in a code span. GitHub links nothing in there, so it can be copied as it is."""
    return f"<code>{_entities(' '.join(plain(text).split()))}</code>"


def fence(text: str, language: str = "") -> str:
    """Return `text` in a code block that nothing in it can end."""
    text = plain(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def link(label: str, url: str) -> str:
    """Return a link, or only the label as code when `url` is no web address."""
    if not is_web_address(url):
        return code(label)
    # What would end the address or the cell is percent-encoded; what is so already stays.
    safe = quote(plain(url), safe=":/?#@!$&'*+,;=%~-._")
    return f"[{_entities(' '.join(plain(label).split()))}]({safe})"


def is_web_address(url: str) -> bool:
    """Tell whether `url` is an http or https address with a host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"[\s\\<>\"`]", url)


def _entities(text: str) -> str:
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", text)
