"""`stagedoor.toml` as its author meets it: what it means, and where every mistake is."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagedoor.config import SIZE_LIMIT, AppConfig, Config, ConfigInvalid, StageRule, default_config, parse_config
from stagedoor.config.patterns import covers, matches
from stagedoor.config.places import DEPTH, places_of

FULL = """
[apps.web]
path = "./services/web/"
command = "python app.py"
paths = ["services/web", "shared/**/*.py"]

[apps.jobs]
path = "services/jobs"

[previews]
branches = ["main", "release/*"]
labels = ["preview"]
drafts = false
forks = "deny"

[stages]
"*" = { target = "sandbox" }
"pr-*".target = "previews"
prod = { target = "production", environment = "production" }

[outputs]
show = ["*Url"]
"""


def mistakes(text: str | bytes) -> list[tuple[int, int, str, str]]:
    """Return line, column, what and remedy of each mistake, in order."""
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(text)
    return [(p.location.line, p.location.column, p.what, p.remedy) for p in caught.value.problems]


def test_the_whole_file():
    config = parse_config(FULL)

    assert config.apps["web"] == AppConfig(
        path="services/web", command="python app.py", paths=("services/web", "shared/**/*.py")
    )
    assert config.previews.wants_branch("release/1.0")
    assert not config.previews.wants_branch("release/1.0/fix")
    assert config.previews.wants_pull_request(draft=False, labels=["bug", "preview"])
    assert not config.previews.wants_pull_request(draft=True, labels=["preview"])
    assert not config.previews.wants_pull_request(draft=False, labels=["bug"])
    assert config.outputs.shows("ApiUrl")
    assert not config.outputs.shows("BucketName")


def test_the_most_specific_rule_is_a_stages_rule_and_rules_are_not_merged():
    config = parse_config(FULL)

    assert config.stage_rule("prod") == StageRule(target="production", environment="production")
    assert config.stage_rule("pr-7") == StageRule(target="previews")
    assert config.stage_rule("dev") == StageRule(target="sandbox")
    assert Config().stage_rule("dev") == StageRule()


def test_an_app_is_touched_by_what_lies_under_its_path_or_matches_its_paths():
    config = parse_config(FULL)

    assert config.apps["web"].touched_by(["README.md", "shared/a/b.py"])
    assert config.apps["web"].touched_by(["services/web/app.py"])
    assert not config.apps["web"].touched_by(["services/jobs/app.py", "shared/a/b.txt"])
    assert config.apps["jobs"].touched_by(["services/jobs/deep/app.py"])
    assert not config.apps["jobs"].touched_by(["services/jobs.md"])
    assert AppConfig().touched_by(["anything"])
    assert not AppConfig().touched_by([])


def test_without_a_file_there_are_defaults_where_there_is_a_cdk_app_and_silence_where_there_is_none():
    assert default_config(has_cdk_json=False) is None
    config = default_config(has_cdk_json=True)
    assert config is not None
    assert config == parse_config("")
    assert config.apps_of("acme/notes") == {"notes": AppConfig()}
    assert list(config.apps_of("acme/2048.game_")) == ["app-2048-game"]
    assert list(parse_config(FULL).apps_of("acme/notes")) == ["web", "jobs"]


def test_files_that_mean_the_same_have_the_same_digest():
    assert parse_config(FULL).digest == parse_config(FULL.replace('"services/jobs"', "'services/jobs/'")).digest
    assert parse_config(FULL).digest != parse_config(FULL.replace("drafts = false", "")).digest
    assert parse_config("").digest == parse_config("# nothing\n[previews]\n").digest


def test_every_mistake_is_told_at_once_with_its_place_and_its_cure():
    found = mistakes(
        """\
preview.enabled = true
[apps."9 lives"]
path = "../up"
[apps.web]
comand = "make"
paths = ["ok", "!not", 7]
[previews]
enabled = "yes"
forks = "allow"
branches = { main = true }
labels = [
  "good",
  "",
]
[stages]
"pr-*" = { target = "x", account = "123456789012" }
Prod = { target = "arn:aws:iam::123456789012:role/x" }
dev = 3
"""
    )

    assert [(line, column) for line, column, _, _ in found] == [
        (1, 1),
        (2, 7),
        (3, 8),
        (5, 1),
        (6, 16),
        (6, 24),
        (8, 11),
        (9, 9),
        (10, 12),
        (13, 3),
        (16, 26),
        (17, 1),
        (17, 19),
        (18, 7),
    ]
    assert found[0][2:] == ("`preview` is not known.", "Did you mean `previews`?")
    assert found[3][2:] == ("`apps.web.comand` is not known.", "Did you mean `command`?")
    assert found[5][2:] == ("`apps.web.paths[2]` is a number.", 'Write text in quotes: "…".')
    assert found[6][2:] == ("`previews.enabled` is text.", "Write true or false, without quotes.")
    assert found[7][3] == 'Write "deny" or "approve".'
    assert "whoever operates the service decides" in found[10][2]
    assert "granted" in found[12][3]
    assert found[13][2:] == ("`stages.dev` is a number.", "Write a table: [stages.dev].")


def test_the_error_speaks_of_the_first_mistake_and_lists_them_all():
    with pytest.raises(ConfigInvalid) as caught:
        parse_config("[previews]\nenabled = 1\ndraft = 2\n", "infra/stagedoor.toml")

    assert caught.value.id == "config-invalid"
    assert caught.value.what == "infra/stagedoor.toml, line 2: `previews.enabled` is a number."
    assert caught.value.remedy == "Write true or false, without quotes. There is 1 more like this."
    assert caught.value.detail.splitlines() == [
        "infra/stagedoor.toml:2:11: `previews.enabled` is a number. Write true or false, without quotes.",
        "infra/stagedoor.toml:3:1: `previews.draft` is not known. Did you mean `drafts`?",
    ]
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.column) == (2, 11)


@pytest.mark.parametrize("key", ["account", "role", "role_arn", "region", "execution_role", "profile"])
def test_what_operators_decide_cannot_be_said_here(key):
    [(line, column, what, remedy)] = mistakes(f'[stages.prod]\n{key} = "x"\n')

    assert (line, column) == (2, 1)
    assert what.startswith(f"`stages.prod.{key}` is not for a repository to say")
    assert "granted targets" in remedy


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("[previews]\nenabled = tru\n", 2, 11),
        ("a = 1\na = 2\n", 2, 6),
        ("\r\n\r\n[previews\r\n", 3, 10),
        ("[previews]\nlabels = [\n", 2, 11),
        (b"[previews]\n# caf\xc3\xa9 \xff\n", 2, 8),
        (b"\xef\xbb\xbfnope = 1", 1, 1),
        ('# \u00e9\n"\u00e9" = 1', 2, 1),
    ],
)
def test_what_is_no_toml_or_no_utf_8_is_told_where_it_breaks(text, line, column):
    [(found_line, found_column, _, remedy)] = mistakes(text)

    assert (found_line, found_column) == (line, column)
    assert remedy


def test_what_is_too_large_too_deep_or_too_long_is_refused():
    assert "larger than 64 KiB" in mistakes(b"#" * (SIZE_LIMIT + 1))[0][2]
    assert parse_config(b"#" * SIZE_LIMIT) == Config()
    assert "nests too deep" in mistakes("a = " + "[" * 20_000)[0][2]
    assert "dots" in mistakes("\n" + "a." * 30_000 + "a = 1")[0][2]  # a minute's work for the parser
    assert "too long" in mistakes("a = " + "9" * 5_000)[0][2]
    assert len(mistakes("\n".join(f"key{n} = 1" for n in range(5_000)))) == 50


def test_patterns_are_those_that_workflow_authors_know():
    assert matches("release/*", "release/1.0")
    assert not matches("release/*", "release/1.0/x")
    assert matches("release/**", "release/1.0/x")
    assert matches("**/app.py", "app.py")
    assert matches("**/app.py", "a/b/app.py")
    assert not matches("**/app.py", "a/myapp.py")
    assert matches("a/**/b", "a/b")
    assert matches("a/**/**/b", "a/x/y/b")
    assert matches("a**", "a/b")
    assert matches("**", "")
    assert not matches("*", "a/b")
    assert matches("v?", "v1")
    assert not matches("v?", "v12")
    assert not matches("Main", "main")
    assert covers("src", "src/a/b.py")
    assert not covers("src", "srcs/a.py")
    assert not matches("*a" * 50, "a" * 250 + "b")  # in no time, where a regular expression would take for ever


@given(st.binary(max_size=200) | st.text(max_size=200) | st.text("[]{}=.,\"'#\n\\ abtruefalse0-", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_configuration_or_a_users_error(text):
    try:
        assert isinstance(parse_config(text), Config)
    except ConfigInvalid as invalid:
        lines = invalid.problems[0].location
        assert lines.line >= 1
        assert lines.column >= 1


NAMES = st.sampled_from(
    ["apps", "previews", "stages", "outputs", "web", "path", "target", "enabled", "x y", "\u00e9", ""]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text("ab\"'\\#[]{}=,\n", max_size=6) | st.sampled_from(["pr-*", "deny"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.booleans())
@settings(max_examples=50, deadline=None)
def test_each_key_and_value_of_a_file_is_found_where_it_is_written(values, as_tables):
    text = "# a comment = [\n" + written(values, as_tables)
    assert tomllib.loads(text) == values

    places = places_of(text)

    lines = text.split("\n")
    for path in paths_in(values):
        line, column = places.of_key(path) if isinstance(path[-1], str) else places.of_value(path)
        assert path in places.keys or path in places.values
        if isinstance(path[-1], str):
            assert lines[line - 1][column - 1 :].startswith(quoted(path[-1]))
    assert set(places.keys) == {path for path in paths_in(values) if isinstance(path[-1], str)}


def written(values: dict[str, Any], as_tables: bool) -> str:
    """Write TOML in which each key is quoted: tables under headings, or all inline."""
    plain = {key: value for key, value in values.items() if not (as_tables and isinstance(value, dict))}
    text = "".join(f"{quoted(key)} = {inline(value)} # = x\n" for key, value in plain.items())
    for key in values.keys() - plain.keys():
        text += f"  [ {quoted(key)} ]\n" + "".join(
            f"\t{quoted(name)} = {inline(value)}\n" for name, value in values[key].items()
        )
    return text


def inline(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{quoted(key)} = {inline(each)}" for key, each in value.items()) + " }"
        case list():
            return "[\n" + "".join(f"  {inline(each)}, # ]\n" for each in value) + "]"
        case str():
            return quoted(value)
        case _:
            return str(value)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [found for key, each in inner for found in paths_in(each, (*path, key))]
    return [each for each in ([path] if path else []) + found if len(each) <= DEPTH]


def test_the_example_of_the_documentation_is_valid_and_its_mistakes_are_told_in_those_words():
    page = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]

    config = parse_config(example)

    assert config.stage_rule("pr-1").target == "previews"
    assert config.stage_rule("prod").environment == "production"
    with pytest.raises(ConfigInvalid) as caught:
        parse_config('[apps.web]\npath = "web"\n\n# typing\ncomand = "make"\n\n[previews]\nenabled = "no"\n')
    assert caught.value.detail in page
