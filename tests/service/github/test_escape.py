"""What an app prints or outputs can neither break the comment, nor notify anybody, nor carry a secret out."""

import html
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from service.github.escape import REDACTED, code, fence, inline, link, plain, redact

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = st.text(
    alphabet=st.one_of(st.sampled_from("|`<>[]()!*_~#@&\\\n\r\t\"'$:/.-= \x1b\x00\u202e"), st.characters())
)


def rendered(markdown: str) -> str:
    return str(MARKDOWN.render(markdown))


def seen(markup: str) -> str:
    """What a person reads of rendered HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup)).replace("\u200b", "")


def as_one_line(text: str) -> str:
    return " ".join(plain(text).split())


@given(HOSTILE)
def test_a_cell_shows_the_text_as_it_is_and_stays_one_cell(text: str) -> None:
    table = rendered(f"| a | b |\n|---|---|\n| {inline(text)} | {code(text)} |")
    cells = re.findall(r"<td>(.*?)</td>", table, re.DOTALL)
    assert [seen(cell) for cell in cells] == [as_one_line(text)] * 2
    assert set(re.findall(r"<(/?\w+)", "".join(cells))) <= {"code", "/code"}


@given(HOSTILE)
def test_nothing_ends_a_code_block_from_inside(text: str) -> None:
    markup = rendered(f"{fence(text)}\n\nafter")
    assert markup.startswith("<pre><code>")
    assert markup.endswith("</code></pre>\n<p>after</p>\n")
    assert html.unescape(markup[len("<pre><code>") : markup.index("</code></pre>")]).removesuffix("\n") == plain(text)


@given(HOSTILE)
def test_nobody_is_mentioned_and_nothing_referred_to(text: str) -> None:
    # GitHub looks at the text that is left after rendering.
    shown = html.unescape(inline(text + " @mona acme/notes#1 #2 GH-3 https://github.com/a/b/issues/4 www.example.com"))
    assert not re.search(r"@\w|#\d|GH-\d|https?://\w|www\.\w", shown, re.IGNORECASE)


@given(HOSTILE, HOSTILE)
def test_a_link_leads_only_to_the_web(label: str, rest: str) -> None:
    markup = rendered(f"| {link(label, 'https://example.com/' + rest)} |\n|---|")
    assert all(url.startswith("https://example.com/") for url in re.findall(r'href="([^"]*)"', markup))
    assert "href" not in rendered(link(label, "javascript:alert(1)//" + rest))


SECRETS = {
    "installation token": "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
    "personal token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "fine-grained token": "github_pat_11ABCDEFG0123456789_abcdefghijklmnopqrstuvwxyz",
    "AWS access key": "AKIAIOSFODNN7EXAMPLE",
    "AWS session key": "ASIAIOSFODNN7EXAMPLE",
    "AWS secret key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "JWT": "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiI0NzExIn0.c2lnbmF0dXJlLW9mLWl0",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("around", ["{}", "key: {}\nnext", "('{}', 1)", "a={}&b=2", '{{"k": "{}"}}', "https://h/?t={}"])
def test_credentials_are_taken_out_wherever_they_stand(secret: str, around: str) -> None:
    text = redact(around.format(secret))
    assert not any(line in text for line in secret.splitlines())
    assert REDACTED in text


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("Authorization: Bearer abc.def", "Authorization:", "abc.def"),
        ("{'authorization': 'Basic bW9uYTpzZWNyZXQ='}", "authorization", "bW9uYT"),
        ("postgresql://app:hunter22@db.internal:5432/notes", "db.internal:5432/notes", "hunter22"),
        ("password=hunter22 retries=3", "retries=3", "hunter22"),
        ('DB_PASSWORD: "hunter 22"\nPORT: 3', "PORT: 3", "hunter 22"),
        ("AWS_SECRET_ACCESS_KEY=abcd1234", "AWS_SECRET_ACCESS_KEY", "abcd1234"),
        ("api_key='hunter22', limit=5", "limit=5", "hunter22"),
        ("https://s3/x?X-Amz-Signature=abcdef&X-Amz-Date=1", "X-Amz-Date=1", "abcdef"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEcut off", "", "MIIEcut"),
    ],
)
def test_what_a_name_announces_is_taken_out_and_the_rest_stays(text: str, kept: str, gone: str) -> None:
    assert kept in redact(text)
    assert gone not in redact(text)


def test_a_colour_in_the_middle_hides_no_secret() -> None:
    assert "AKIA" not in redact("AKIA\x1b[31mIOSFODNN7EXAMPLE")


def test_commits_paths_and_plain_errors_stay_readable() -> None:
    text = (
        'File "/home/runner/work/notes/Infra2/stack.py", line 3, in build\n'
        "ValueError: commit da39a3ee5e6b4b0d3255bfef95601890afd80709 has no table 'notes'"
    )
    assert redact(text) == text


@given(HOSTILE, st.text(min_size=4))
def test_values_that_are_known_to_be_secret_never_survive(text: str, secret: str) -> None:
    secret = plain(secret)
    if len(secret) >= 4 and secret not in REDACTED:
        assert secret not in redact(f"{text}{secret}{text}", [secret]).replace(REDACTED, "")


@given(HOSTILE)
def test_taking_out_twice_changes_nothing(text: str) -> None:
    once = redact(f"password={text} token: {text}")
    assert redact(once) == once


def test_a_very_long_line_costs_little() -> None:
    begun = time.process_time()
    redact("a" * 100_000 + "." * 100_000 + "eyJ" * 30_000 + "password" * 10_000)
    assert time.process_time() - begun < 5  # a pattern that looks again from every character takes minutes
