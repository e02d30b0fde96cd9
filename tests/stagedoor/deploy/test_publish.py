"""What is published, when, and what is left when it goes wrong, in the local AWS."""

import io
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from stagedoor.assembly.model import Assembly, FileAsset, Packaging
from stagedoor.assembly.target_names import assets_bucket
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.failure import DeployFailed
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.deploy.publishing.publish import Publishing
from stagedoor.deploy.publishing.published import REMEMBERED_SECONDS, Published, PublishedFiles
from stagedoor.deploy.together import run_alone
from stagedoor.errors import LeaseLost
from stagedoor.events import Emit, Event, EventKind, silent
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import IDENTITY, code_asset, parameter, stack, template

MB = 1 << 20


def file_asset(directory: Path, target: Target, name: str, size: int) -> FileAsset:
    (directory / name).write_bytes(os.urandom(size))
    return FileAsset(name, directory / name, Packaging.FILE, assets_bucket(target), f"{name}.bin", name)


def with_assets(directory: Path, target: Target, *assets: FileAsset) -> Assembly:
    one = stack(directory, "One", template(Value=parameter("x")), assets=assets)
    return address_assets(Assembly(directory, (one,)), target, directory / "addressed")


def publish(assembly: Assembly, clients: Clients, emit: Emit = silent, published: Published | None = None) -> None:
    with Publishing(assembly, [stack.id for stack in assembly.stacks], clients, emit, published) as publishing:
        run_alone(publishing.until_done())


def s3_of(clients: Clients) -> Any:
    return clients.client("s3", Phase.PUBLISH)


def calls_of(clients: Clients) -> Counter[str]:
    calls: Counter[str] = Counter()
    s3_of(clients).meta.events.register("before-call.s3", lambda model, **_: calls.update([model.name]))
    return calls


def stored(target: Target) -> dict[str, bytes]:
    s3, bucket = boto3.Session().client("s3"), assets_bucket(target)
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def endings(events: list[Event]) -> list[str]:
    """What was told of assets, their progress excepted, which depends on how fast the machine is."""
    return [event.status for event in events if event.kind is EventKind.ASSET and event.status != "uploading"]


def left_of_parts(target: Target) -> list[Any]:
    return boto3.Session().client("s3").list_multipart_uploads(Bucket=assets_bucket(target)).get("Uploads", [])


def test_a_stack_waits_for_its_own_assets_alone(app: Path, target: Target, clients: Clients):
    created = threading.Event()

    def emit(event: Event) -> None:
        if event.subject == f"{IDENTITY.prefix}-Plain" and event.status == "CREATE_COMPLETE":
            created.set()

    held: list[bool] = []

    def hold(**_: Any) -> None:
        held.append(created.wait(30))

    s3_of(clients).meta.events.register("before-send.s3.PutObject", hold)
    plain = stack(app, "Plain", template(Value=parameter("x")))
    coded = stack(app, "Coded", template(Value=parameter("x")), assets=(code_asset(app, target, {"a.py": "a"}),))
    deployed = deploy(Assembly(app, (coded, plain)), IDENTITY, clients, MemoryLedger("1"), emit)
    assert held == [True]
    assert len(deployed.stacks) == 2


def test_what_does_not_change_asks_the_bucket_nothing(app: Path, target: Target, clients: Clients):
    assembly = Assembly(
        app, (stack(app, "One", template(Value=parameter("x")), assets=(code_asset(app, target, {"a.py": "a"}),)),)
    )
    calls = calls_of(clients)
    deploy(assembly, IDENTITY, clients, MemoryLedger("1"), silent)
    assert calls == {"HeadObject": 1, "PutObject": 1}
    calls.clear()
    assert deploy(assembly, IDENTITY, clients, MemoryLedger("2"), silent).unchanged
    assert calls == {}


def test_one_page_of_the_bucket_tells_of_many_assets(app: Path, target: Target, clients: Clients):
    assets = [file_asset(app, target, f"file{number}", 100) for number in range(20)]
    calls = calls_of(clients)
    publish(with_assets(app, target, *assets[:19]), clients)
    publish(with_assets(app, target, *assets), clients)
    assert calls == {"ListObjectsV2": 2, "PutObject": 20}


def test_what_lies_past_the_first_page_is_asked_for(
    app: Path, target: Target, clients: Clients, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("stagedoor.deploy.publishing.uploads._PAGE", 5)
    assembly = with_assets(app, target, *(file_asset(app, target, f"file{number}", 100) for number in range(20)))
    publish(assembly, clients)
    calls = calls_of(clients)
    publish(assembly, clients)
    assert calls == {"ListObjectsV2": 1, "HeadObject": 15}


def test_who_may_not_list_the_bucket_asks_for_each_asset(app: Path, target: Target, clients: Clients):
    assembly = with_assets(app, target, *(file_asset(app, target, f"file{number}", 100) for number in range(9)))
    calls = calls_of(clients)
    denied = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    answer = (AWSResponse("", 403, HTTPHeaders(), HTTPResponse()), denied)
    s3_of(clients).meta.events.register("before-call.s3.ListObjectsV2", lambda **_: answer)
    publish(assembly, clients)
    assert calls == {"HeadObject": 9, "PutObject": 9}


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr("stagedoor.deploy.publishing.publish.time.time", clock)
    return clock  # type: ignore[return-value]


def test_what_was_seen_is_not_asked_about_for_an_hour(
    app: Path, target: Target, clients: Clients, tmp_path: Path, clock: Clock
):
    seen = PublishedFiles(tmp_path / "seen", clock)
    assembly = with_assets(app, target, code_asset(app, target, {"a.py": "a"}))
    publish(assembly, clients, published=seen)
    calls, events = calls_of(clients), []
    publish(assembly, clients, events.append, seen)
    assert calls == {}
    assert endings(events) == ["present"]
    clock.now += REMEMBERED_SECONDS / 2
    publish(assembly, clients, published=seen)
    assert calls == {}
    clock.now += REMEMBERED_SECONDS / 2
    publish(assembly, clients, published=seen)
    assert calls == {"HeadObject": 1}


def test_after_a_failed_deploy_nothing_is_remembered(app: Path, target: Target, clients: Clients, tmp_path: Path):
    seen = PublishedFiles(tmp_path / "seen")
    assembly = with_assets(app, target, code_asset(app, target, {"a.py": "a"}))
    publish(assembly, clients, published=seen)
    (key,) = stored(target)
    boto3.Session().client("s3").delete_object(Bucket=assets_bucket(target), Key=key)
    with pytest.raises(DeployFailed), Publishing(assembly, ["One"], clients, silent, seen):
        raise DeployFailed("The specified key does not exist.", "Deploy again.")
    publish(assembly, clients, published=seen)
    assert list(stored(target)) == [key]


def test_a_broken_memory_is_an_empty_one(tmp_path: Path):
    seen = PublishedFiles(tmp_path)
    seen.add("here", ["a"], time.time())
    (file,) = tmp_path.iterdir()
    for text in ("", "[]", '{"a": "never"}', '{"a": 9e99}'):
        file.write_text(text)
        assert seen.present("here") == frozenset()


def test_a_large_file_goes_in_parts_and_arrives_whole(app: Path, target: Target, clients: Clients):
    asset = file_asset(app, target, "large", 20 * MB + 1)
    calls = calls_of(clients)
    publish(with_assets(app, target, asset, file_asset(app, target, "empty", 0)), clients)
    assert sorted(stored(target).values()) == [b"", asset.source.read_bytes()]
    assert calls["UploadPart"] == 3
    assert calls["PutObject"] == 1


def test_a_request_that_is_tried_again_sends_all_of_it_again(app: Path, target: Target, clients: Clients):
    failed: list[str] = []

    def fail_once_half_way(request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        part = str(request.url)
        if part in failed:
            return None
        failed.append(part)
        request.body.read(1000)
        return AWSResponse(part, 503, HTTPHeaders(), HTTPResponse(io.BytesIO(), preload_content=False))

    s3_of(clients).meta.events.register("before-send.s3.UploadPart", fail_once_half_way)
    asset = file_asset(app, target, "large", 20 * MB)
    publish(with_assets(app, target, asset), clients)
    assert len(failed) == 3
    assert list(stored(target).values()) == [asset.source.read_bytes()]


def test_nothing_is_left_of_a_file_of_which_a_part_could_not_be_sent(app: Path, target: Target, clients: Clients):
    def deny(params: dict[str, Any], **_: Any) -> None:
        if params["query_string"].get("partNumber") == 2:
            params["headers"]["x-amz-checksum-sha256"] = "A" * 43 + "="

    s3_of(clients).meta.events.register("before-call.s3.UploadPart", deny)
    events: list[Event] = []
    with pytest.raises(ClientError):
        publish(with_assets(app, target, file_asset(app, target, "large", 40 * MB)), clients, events.append)
    assert endings(events) == ["failed"]
    assert (stored(target), left_of_parts(target)) == ({}, [])


def test_what_was_changed_on_its_way_is_not_stored(app: Path, target: Target, clients: Clients):
    s3_of(clients).meta.events.register("before-send.s3.PutObject", lambda request, **_: setattr(request, "body", b"?"))
    with pytest.raises(ClientError):
        publish(with_assets(app, target, file_asset(app, target, "file", 1)), clients)
    assert stored(target) == {}


def test_a_cancelled_run_stops_sending_at_once(app: Path, target: Target, clients: Clients):
    sending = threading.Event()
    calls = calls_of(clients)

    def slow(**_: Any) -> None:
        sending.set()
        time.sleep(0.5)

    s3_of(clients).meta.events.register("before-send.s3.UploadPart", slow)
    assembly = with_assets(app, target, *(file_asset(app, target, f"large{number}", 40 * MB) for number in range(3)))
    with Publishing(assembly, ["One"], clients, silent):
        assert sending.wait(30)
        asked = time.monotonic()
    assert time.monotonic() - asked < 10
    assert calls["UploadPart"] <= 8  # of fifteen
    assert (stored(target), left_of_parts(target)) == ({}, [])


def test_who_has_lost_the_lease_sends_nothing(app: Path, target: Target, clients: Clients):
    def lost() -> None:
        raise LeaseLost

    with pytest.raises(LeaseLost):
        publish(with_assets(app, target, file_asset(app, target, "file", 10)), Clients(target, before_change=lost))
    assert stored(target) == {}


def test_progress_is_told_in_bytes(app: Path, target: Target, clients: Clients, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stagedoor.deploy.publishing.publish._TELL_SECONDS", 0.0)
    monkeypatch.setattr("stagedoor.deploy.publishing.publish._LOOK_SECONDS", 0.01)
    events: list[Event] = []
    publish(with_assets(app, target, file_asset(app, target, "large", 20 * MB)), clients, events.append)
    told = [event.data["bytes"] for event in events if event.status in ("uploading", "uploaded")]
    assert told[-1] == 20 * MB
    assert len(told) > 2


def test_a_stranger_s_bucket_gets_nothing(app: Path, target: Target, clients: Clients):
    asked: list[Any] = []
    s3_of(clients).meta.events.register(
        "before-call.s3", lambda params, **_: asked.append(params["headers"].get("x-amz-expected-bucket-owner"))
    )
    publish(with_assets(app, target, file_asset(app, target, "large", 20 * MB)), clients)
    assert set(asked) == {target.account}


PUBLISH_MUCH = """
import resource, sys
from pathlib import Path
from stagedoor.assembly.model import Assembly, Packaging
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.target import Target
from tests.stagedoor.deploy.test_publish import code_asset, file_asset, publish, with_assets
app, account, megabytes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
target = Target(name="local", account=account, region="us-east-1")
folder = code_asset(app, target, {"small.txt": "x"})
assets = [folder, file_asset(app, target, "large", 1 << 20)]
for place in (folder.source / "large.bin", app / "large"):
    with place.open("wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(4, "big") * (1 << 18))
clients = Clients(target)
clients.client("s3", Phase.PUBLISH)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
publish(with_assets(app, target, *assets), clients)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_what_is_sent(app: Path, target: Target, clients: Clients):
    command = [sys.executable, "-c", PUBLISH_MUCH, str(app), target.account, "96"]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 48
    assert max(len(data) for data in stored(target).values()) == 96 * MB


def test_equal_files_of_two_stacks_go_once(app: Path, target: Target, clients: Clients):
    asset = code_asset(app, target, {"a.py": "a"})
    stacks = [stack(app, name, template(Value=parameter("x")), assets=(asset,)) for name in ("One", "Two")]
    calls = calls_of(clients)
    publish(address_assets(Assembly(app, tuple(stacks)), target, app / "addressed"), clients)
    assert calls["PutObject"] == 1


def test_another_bootstrap_is_another_place(app: Path, target: Target, clients: Clients, tmp_path: Path):
    seen = PublishedFiles(tmp_path / "seen")
    assembly = with_assets(app, target, code_asset(app, target, {"a.py": "a"}))
    publish(assembly, clients, published=seen)
    ssm = boto3.Session().client("ssm")
    name = f"/cdk-bootstrap/{target.qualifier}/version"
    ssm.put_parameter(Name=name, Value="30", Overwrite=True)
    calls = calls_of(clients)
    publish(replace(assembly), clients, published=seen)
    assert calls == {"HeadObject": 1}
