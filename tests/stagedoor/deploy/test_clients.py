import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.awsrequest import AWSRequest

from demo.aws.server import LocalAws
from stagedoor.deploy.clients import Clients, Phase, WrongAccount
from stagedoor.errors import LeaseLost
from stagedoor.target import Target


def lost() -> None:
    raise LeaseLost


def test_a_change_is_not_sent_when_the_lease_is_lost_and_reading_goes_on(target: Target):
    clients = Clients(target, before_change=lost)
    with pytest.raises(LeaseLost):
        clients.client("s3", Phase.PUBLISH).create_bucket(Bucket=f"b{target.account}")
    assert clients.client("s3", Phase.PUBLISH).list_buckets()["Buckets"] == []
    assert clients.cloudformation.describe_stacks()["Stacks"] == []


def _send_to(request: AWSRequest, server: socket.socket) -> None:
    request.url = f"http://127.0.0.1:{server.getsockname()[1]}/never"


def _hang_up(server: socket.socket) -> None:
    server.accept()[0].close()


def test_each_attempt_of_a_change_asks_again(target: Target):
    asked: list[int] = []

    def twice() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise LeaseLost

    with socket.create_server(("127.0.0.1", 0)) as broken:
        s3 = Clients(target, before_change=twice).client("s3", Phase.PUBLISH)
        s3.meta.events.register("request-created", lambda request, **_: _send_to(request, broken))
        threading.Thread(target=_hang_up, args=(broken,), daemon=True).start()
        with pytest.raises(LeaseLost):
            s3.create_bucket(Bucket="never")
    assert len(asked) == 2


def test_credentials_of_another_account_are_refused(target: Target):
    elsewhere = replace(target, account="999999999999")
    with pytest.raises(WrongAccount, match="999999999999"):
        _ = Clients(elsewhere).cloudformation


def test_a_phase_has_the_identity_of_its_role(target: Target):
    policy = '{"Version":"2012-10-17","Statement":[]}'
    role = (
        boto3.Session().client("iam").create_role(RoleName="deployer", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    )
    clients = Clients(replace(target, deploy_role=role, external_id="stagedoor-1"))
    assert "assumed-role/deployer" in clients.client("sts", Phase.DEPLOY).get_caller_identity()["Arn"]
    assert "deployer" not in clients.client("sts", Phase.PUBLISH).get_caller_identity()["Arn"]


def test_the_local_aws_ends_with_all_that_it_started(tmp_path: Path):
    with LocalAws(tmp_path) as aws:
        group = aws.pid
        assert group is not None
        assert aws.endpoint.startswith("http://127.0.0.1:")
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
