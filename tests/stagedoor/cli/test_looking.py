"""Commands that look at a stage that is deployed: stages, outputs, logs, invoke, console."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

from tests.stagedoor.cli.command import Command
from tests.stagedoor.cli.test_terminal import terminal


def test_stages(looked_at: Command):
    [row] = looked_at("stages").stdout.splitlines()
    name, kind, owner, stacks, changed, state, addresses = row.split("\t")
    assert (name, kind, owner, stacks, state) == ("dev", "shared", "local", "2", "good")
    assert changed.endswith(("just now", "min ago"))
    assert addresses == "https://api.example.com/ https://example.com"
    [stage] = looked_at.result("stages")["stages"]
    assert [stack["status"] for stack in stage["stacks"]] == ["CREATE_COMPLETE"] * 2


def test_outputs_for_people_scripts_and_files(looked_at: Command, tmp_path: Path):
    assert looked_at("outputs", "--stage", "dev").stdout.splitlines() == [
        "Api.Url = https://api.example.com/",
        "Site.Url = https://example.com",
        "Site.Bucket = it's here",
    ]
    assert looked_at("outputs", "Bucket", "--stage", "dev").stdout == "it's here\n"
    assert looked_at("outputs", "Site.Url", "--stage", "dev").stdout == "https://example.com\n"
    several = looked_at("outputs", "Url", "--stage", "dev")
    assert several.returncode == 1
    assert "Name one of Api.Url, Site.Url." in several.stderr
    assert "There are: Api.Url" in looked_at("outputs", "Uri", "--stage", "dev").stderr
    looked_at("outputs", "--stage", "dev", "--out", str(tmp_path / ".env"))
    script = f'. {tmp_path}/.env && echo "$SITE_BUCKET $API_URL"'
    assert subprocess.check_output(["sh", "-c", script], text=True) == "it's here https://api.example.com/\n"
    looked_at("outputs", "--stage", "dev", "--out", str(tmp_path / "outputs.json"))
    assert (
        json.loads((tmp_path / "outputs.json").read_text()) == looked_at.result("outputs", "--stage", "dev")["outputs"]
    )


def test_a_stage_that_is_not_there(looked_at: Command):
    gone = looked_at("outputs", "--stage", "gone")
    assert gone.returncode == 1
    assert "The stage gone of shop is not in account" in gone.stderr
    assert "`stagedoor stages` lists those that are" in gone.stderr


def test_invoke(looked_at: Command, tmp_path: Path):
    (tmp_path / "event.json").write_text('{"name": "Ann"}')
    called = looked_at("invoke", "Greet", "--stage", "dev", "--event", str(tmp_path / "event.json"))
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == {"hello": "Ann"}
    assert looked_at.result("invoke", "Api/Greet", "--stage", "dev")["result"] == {"hello": "world"}
    failed = looked_at("invoke", "Gree*", "--stage", "dev", "--event", '{"fail": true}')
    assert failed.returncode == 1
    assert re.search(r"Error: Api/Greet failed: .+: 'nobody'", failed.stderr)
    assert 'raise KeyError("nobody")' in failed.stderr
    later = looked_at.result("invoke", "Other4E5F6A7B", "--stage", "dev", "--async")
    assert (later["status"], later["result"]) == (202, None)


def test_what_cannot_be_invoked(looked_at: Command):
    unknown = looked_at("invoke", "Great", "--stage", "dev")
    assert unknown.returncode == 1
    assert "There are: Api/Greet, Api/Other." in unknown.stderr
    assert "names several functions" in looked_at("invoke", "*", "--stage", "dev").stderr
    assert "is neither a file nor JSON" in looked_at("invoke", "Greet", "--stage", "dev", "--event", "x.json").stderr


def test_logs_and_what_comes_after_them(looked_at: Command):
    looked_at("invoke", "Greet", "--stage", "dev", "--event", '{"name": "first"}')
    looked_at("invoke", "Other", "--stage", "dev", "--event", '{"name": "other"}')
    said = looked_at("logs", "--stage", "dev", "--filter", "greeting").stdout
    assert re.search(r'^\d\d:\d\d:\d\d\.\d{3}  Greet  greeting {"name": "first"}$', said, re.MULTILINE)
    assert 'Other  greeting {"name": "other"}' in said
    following = looked_at.start("logs", "-f", "--stage", "dev", "--function", "Greet", "--since", "1h", "--json")
    assert following.stdout
    told: list[str] = []

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 60
        while not any(text in line for line in told):
            assert time.monotonic() < deadline
            told.append(json.loads(following.stdout.readline()).get("message", ""))

    wait_for('{"name": "first"}')
    looked_at("invoke", "Greet", "--stage", "dev", "--event", '{"name": "second"}')
    wait_for('{"name": "second"}')
    time.sleep(2)
    following.send_signal(signal.SIGINT)
    rest, _ = following.communicate(timeout=30)
    told += [json.loads(line).get("message", "") for line in rest.splitlines()]
    assert following.returncode == 0
    for name in ("first", "second"):
        assert sum(f'"name": "{name}"' in line for line in told) == 1
    assert not any("other" in line for line in told)


def test_pages(looked_at: Command):
    pages = [line.split("\t") for line in looked_at("console", "--stage", "dev", "--print").stdout.splitlines()]
    assert [page[:2] for page in pages] == [
        ["stack", "Api"],
        ["stack", "Site"],
        ["function", "Api/Greet"],
        ["function", "Api/Other"],
    ]
    assert pages[0][2].startswith(
        "https://us-east-1.console.aws.amazon.com/cloudformation/home?region=us-east-1#/stacks/stackinfo?stackId=arn%3Aaws"
    )
    [page] = looked_at.result("console", "Greet", "--stage", "dev")["pages"]
    assert "/lambda/home?region=us-east-1#/functions/shop-dev-" in page["url"]


def test_tables_are_for_terminals(looked_at: Command):
    with terminal(looked_at, "stages") as seen:
        assert seen.code() == 0
        assert re.search(r"stage +kind +owner", seen.plain)
        assert "shop has 1 stage in account" in seen.plain
