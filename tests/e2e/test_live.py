"""`stagedoor dev` on the local AWS: what happens there is answered by the code in the developer's folder.

The local AWS ignores `AWS_LAMBDA_EXEC_WRAPPER`, so the bridge is the functions' code in it: with nobody connected there
is no deployed code to answer, and the caller is told so. What a bridge does then in Lambda is in
tests/stagedoor/live/bridge.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from demo.cloud import ACCOUNT, REGION, Cloud
from tests.stagedoor.cli.command import ROOT, Command
from tests.stagedoor.cli.test_terminal import terminal

pytestmark = [pytest.mark.xdist_group("live"), pytest.mark.timeout(300)]
APP = Path(__file__).parent / "live_app"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(tmp_path_factory.mktemp("cloud"), workers=0) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def stagedoor(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command in a clone of the app's repository, logged in."""
    folder = tmp_path_factory.mktemp("developer")
    shutil.copytree(APP, folder / "doors")
    for name in ("pyproject.toml", "uv.lock"):  # what the example needs is all that this app needs, too
        shutil.copy(ROOT / "examples" / "notes" / name, folder / "doors")
    repository = cloud.github.create_repository("acme/doors", folder / "doors")
    clone = folder / "clone"
    git("clone", "-q", str(repository.git.path), str(clone))
    git("-C", str(clone), "remote", "set-url", "origin", f"{cloud.github.web_url}/acme/doors.git")
    command = Command(
        clone,
        {
            **cloud.aws.environment(ACCOUNT, REGION),
            "STAGEDOOR_SERVER": cloud.service.url,
            "XDG_CONFIG_HOME": str(folder / "config"),
        },
    )
    login = command.start("login", "--json")
    assert login.stdout
    code = json.loads(login.stdout.readline())
    urllib.request.urlopen(f"{code['at']}?user_code={code['user_code']}").close()
    assert json.loads(login.communicate(timeout=60)[0])["login"] == "mona"
    return command


class Dev:
    """`stagedoor dev --json` while it runs, and what it has said."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, **what: Any) -> dict[str, Any]:
        """Return the first line that says this."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.said if what.items() <= line.items()), None)

        with self._news:
            self._news.wait_for(lambda: found() or not self._reader.is_alive(), 60)
            line = found()
        assert line, self.said
        return line

    def end(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._news:
                self.said.append(json.loads(line))
                self._news.notify_all()


@contextmanager
def developing(stagedoor: Command, *words: str) -> Iterator[Dev]:
    process = stagedoor.start("dev", "--json", *words, stderr=None)
    dev = Dev(process)
    try:
        dev.wait_for(event="connected")
        yield dev
    finally:
        process.kill()
        process.wait()


class Doors:
    """The app in AWS, as whoever uses it sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._aws: Any = boto3.Session(ACCOUNT, "local", region_name=REGION)
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        (stack,) = (stack for stack in stacks if stack["StackName"].endswith("-Doors"))
        self._rows = self.client("dynamodb")
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def client(self, service: str) -> Any:
        return self._aws.client(service, endpoint_url=self._cloud.aws.endpoint)

    def get(self, path: str) -> tuple[int, Any]:
        url, host = self._cloud.aws.url_for(self.outputs["Url"] + path)
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=60) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        return status, json.loads(body) if body[:1] in b"{[" else body.decode()

    def word(self) -> str:
        return str(self.get("/door")[1]["word"])

    def send(self) -> None:
        """Have each kind of event happen that is not a request."""
        self.client("sqs").send_message(QueueUrl=self.outputs["QueueUrl"], MessageBody="a job")
        self.client("s3").put_object(Bucket=self.outputs["BucketName"], Key="a file", Body=b"")
        self._rows.put_item(TableName=self.outputs["TableName"], Item={"id": {"S": "a row"}})
        schedules = self.client("scheduler")
        once = schedules.get_schedule(Name=self.outputs["Moment"])
        kept = {name: once[name] for name in ("Name", "GroupName", "FlexibleTimeWindow", "Target")}
        schedules.update_schedule(**kept, ScheduleExpression=time.strftime("at(%Y-%m-%dT%H:%M:%S)", time.gmtime()))

    def results(self) -> dict[str, int]:
        """What the worker has written down: how many records it was given by each source."""
        found = self._rows.scan(TableName=self.outputs["ResultsName"])["Items"]
        return {item["id"]["S"]: int(item["records"]["N"]) for item in found}


def test_each_event_in_aws_is_answered_by_the_code_in_the_folder_and_a_save_by_the_next_answer(
    stagedoor: Command, cloud: Cloud
):
    with developing(stagedoor) as dev:
        doors = Doors(cloud)
        doors.send()
        status, hello = doors.get("/door")
        assert (status, hello["word"]) == (200, "hello")
        assert 9_000 < hello["ms"] <= 10_000  # the function's own timeout, not the bridge's
        assert doors.get("/greet/ann") == (200, "hello ann")
        broken = doors.get("/broken")[1]
        assert (broken["errorType"], broken["errorMessage"]) == ("LookupError", "no such door")

        save(stagedoor, "python/words.py", 'WORD = "good day"\n')
        save(stagedoor, "greet/greeting.ts", "export const greeting = (name: string) => `good day ${name}`;\n")
        assert eventually(doors.word, "good day") == "good day"
        assert eventually(lambda: doors.get("/greet/ann")[1], "good day ann") == "good day ann"
        save(stagedoor, "python/words.py", 'WORD = "good\n')
        assert eventually(lambda: doors.get("/door")[0], 502) == 502
        assert doors.get("/door")[1]["errorType"] == "Runtime.UserCodeSyntaxError"
        git("-C", str(stagedoor.folder), "checkout", "-q", ".")
        assert eventually(lambda: doors.get("/door")[0], 200) == 200
        assert doors.word() == "hello"

        sources = {"aws:sqs": 1, "aws:s3": 1, "aws:dynamodb": 1, "aws.scheduler": 1}
        assert eventually(doors.results, sources, every=0.5) == sources  # a schedule is looked at each 10 s
        assert dev.end() == 0

    started = [(line["name"], line["source"].split(" ")[0]) for line in dev.said if line["event"] == "started"]
    assert set(started) == {("Hello", "GET"), ("Greet", "GET"), *(("Worker", word) for word in SOURCES)}
    assert any(line["event"] == "printed" and "asked for /door" in line.get("text", "") for line in dev.said)
    queue = doors.client("sqs").get_queue_attributes(QueueUrl=doors.outputs["QueueUrl"], AttributeNames=["All"])
    assert queue["Attributes"]["VisibilityTimeout"] == "900"
    status, left = doors.get("/door")
    assert (status, left["errorType"]) == (502, "Stagedoor.NobodyConnected")


SOURCES = ("SQS", "S3", "DynamoDB", "schedule")


def test_in_a_terminal_some_functions_are_live_until_ctrl_c_and_off_takes_the_bridges_out(
    stagedoor: Command, cloud: Cloud
):
    with terminal(stagedoor, "dev", "--only", "Hel*") as screen:
        screen.wait_for("Connected to dev-mona as mona. Ctrl-C disconnects.", 60)
        doors = Doors(cloud)
        assert doors.word() == "hello"
        assert doors.get("/greet/ann")[1]["errorType"] == "Stagedoor.NobodyConnected"
        doors.get("/broken")
        seen = screen.wait_for("Hello  GET /broken  failed after")
        assert "Hello  GET /door  " in seen
        assert "| asked for /door" in seen
        screen.type("\x03")
        assert screen.code() == 0
        assert screen.plain.count("LookupError: no such door") == 1
        assert "Disconnected." in screen.plain

    save(stagedoor, "python/words.py", 'WORD = "not deployed"\n')
    off = stagedoor("dev", "--off")
    assert off.returncode == 0, off.stderr
    assert doors.get("/greet/ann") == (200, "hello ann")
    assert doors.get("/door")[0] == 200


def save(stagedoor: Command, file: str, text: str) -> None:
    (stagedoor.folder / "functions" / file).write_text(text)


def eventually(ask: Callable[[], Any], wanted: object, every: float = 0.05) -> Any:
    """Return what was answered last: what was wanted, or whatever it was when the time was over."""
    until = time.monotonic() + 30
    while (answer := ask()) != wanted and time.monotonic() < until:
        time.sleep(every)
    return answer


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})
