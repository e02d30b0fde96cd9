"""Random lives of stages while one call in twenty fails."""

import os
import random
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from demo.aws.server import LocalAws
from stagedoor.deploy.bootstrap import bootstrap
from stagedoor.deploy.clients import Clients
from stagedoor.events import silent
from stagedoor.target import Target
from tests.faults.proxy import FaultyProxy
from tests.faults.sequences import Sequence

ACCOUNT = "000000000077"
COUNT = int(os.environ.get("FAULT_SEQUENCES", "15"))
SECONDS = max(240, 12 * COUNT)  # two hundred lives take longer than any other test may
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.randrange(1, 10**6)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalAws]:
    with LocalAws(tmp_path / "aws") as running:
        for name, value in running.environment(ACCOUNT).items():
            monkeypatch.setenv(name, value)
        yield running


def a_target() -> Target:
    """Return a target with roles, whose credentials can be had anew."""
    policy = '{"Version":"2012-10-17","Statement":[]}'
    iam = boto3.Session().client("iam")
    role = iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    target = Target("faulty", ACCOUNT, "us-east-1", deploy_role=role, publish_role=role)
    bootstrap(Clients(target), target, silent)
    boto3.Session().client("s3").create_bucket(Bucket="taken-by-another")
    return target


@pytest.mark.timeout(SECONDS)
def test_random_lives_end_right_and_leave_nothing(aws: LocalAws, monkeypatch: pytest.MonkeyPatch):
    print(f"FAULT_SEED={SEED}")
    target = a_target()
    with FaultyProxy(aws.endpoint, SEED) as proxy, ThreadPoolExecutor(8) as lives:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        sequences = [Sequence(SEED, number, aws.endpoint, target) for number in range(COUNT)]
        ends = [lives.submit(sequence.run) for sequence in sequences]
        failures = {
            sequence.number: (sequence.log, end.exception())
            for sequence, end in zip(sequences, ends, strict=True)
            if end.exception()
        }
    slowest = max(sequence.seconds for sequence in sequences)
    print(f"{len(proxy.calls)} calls, {dict(proxy.faults)}, slowest life {slowest:.0f} s")
    for number, (log, error) in failures.items():
        print(number, log, "".join(traceback.format_exception(error)))
    assert not failures
