"""What an operator declares is what is granted, and nothing else."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select

from service.models import Grant, ServiceIdentity, TargetRow
from service.settings import Settings, SettingsInvalid
from service.stages.intents import limits_of, target_of
from service.targets import declared_targets, prepare
from stagedoor.assembly.inspection import DEFAULT_LIMITS

GOOD = """
[targets.previews]
account = "123456789012"
region = "eu-central-1"
trust = "preview"
execution_role = "arn:aws:iam::123456789012:role/previews"

[[grants]]
target = "previews"
repository = "acme/*"
"""


def settings(tmp_path, text):
    path = tmp_path / "targets.toml"
    path.write_text(text)
    return Settings(targets_file=path)


def test_targets_may_be_text_where_there_is_no_file_to_be_had():
    assert declared_targets(Settings(targets=GOOD)).grants[0].repository == "acme/*"
    with pytest.raises(SettingsInvalid, match=r"STAGEDOOR_TARGETS: targets\.previews\.account"):
        declared_targets(Settings(targets=GOOD.replace("123456789012", "12", 1)))


def test_targets_and_grants_become_what_the_file_says_each_time(database, tmp_path):
    prepare(database, settings(tmp_path, GOOD))
    prepare(database, settings(tmp_path, GOOD.replace("acme/*", "umbrella/app").replace("eu-central-1", "eu-west-1")))
    with database() as session:
        (target,) = session.scalars(select(TargetRow))
        (grant,) = session.scalars(select(Grant))
    assert (target.name, target.region, target.trust.value) == ("previews", "eu-west-1", "preview")
    assert grant.repository == "umbrella/app"


def test_images_are_built_only_where_the_operator_says_so_and_as_long(database, tmp_path):
    allowed = GOOD.replace('trust = "preview"', 'trust = "preview"\nimage_builds = "confined"')
    found = []
    for text in (GOOD, allowed, GOOD):
        prepare(database, settings(tmp_path, text))
        with database() as session:
            found.append(target_of(session.scalars(select(TargetRow)).one()).image_builds)
    assert found == ["refused", "confined", "refused"]


def test_how_much_an_assembly_may_hold_is_the_operators_to_say(database, tmp_path):
    more = GOOD.replace("[[grants]]", "[targets.previews.assembly_limits]\nstacks = 300\nfile_bytes = 10\n\n[[grants]]")
    found = []
    for text in (GOOD, more, GOOD):
        prepare(database, settings(tmp_path, text))
        with database() as session:
            found.append(limits_of(session.scalars(select(TargetRow)).one()))
    assert found == [DEFAULT_LIMITS, replace(DEFAULT_LIMITS, stacks=300, file_bytes=10), DEFAULT_LIMITS]
    with pytest.raises(SettingsInvalid, match=r"targets\.previews\.assembly_limits\.stacks: .*greater than 0"):
        declared_targets(settings(tmp_path, more.replace("300", "0")))


def test_the_services_id_is_given_once(database, tmp_path):
    ids = set()
    for _ in range(2):
        prepare(database, settings(tmp_path, GOOD))
        with database() as session:
            ids.add(session.scalars(select(ServiceIdentity.uid)).one())
    assert len(ids) == 1


def test_without_a_file_nothing_is_granted_but_on_a_local_aws(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert declared_targets(Settings()).grants == ()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "000000000042")
    local = declared_targets(Settings())
    assert local.targets["local"].account == "000000000042"
    assert local.grants[0].repository == "*"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://aws.example.com")
    assert declared_targets(Settings()).grants == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("123456789012", "1234"), "targets.previews.account"),
        (("eu-central-1", "Frankfurt"), "targets.previews.region"),
        (("arn:aws:iam::123456789012:role/previews", "previews"), "targets.previews.execution_role"),
        (('target = "previews"', 'target = "other"'), "'other', which is not there"),
        (("trust =", "rust ="), "targets.previews.rust"),
        (("[targets.previews]", "[targets.previews"), "targets.toml"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, said):
    with pytest.raises(SettingsInvalid) as error:
        declared_targets(settings(tmp_path, GOOD.replace(*change)))
    assert said in error.value.what


def test_two_services_that_start_at_once_on_an_empty_database(postgres, tmp_path):
    declared = settings(tmp_path, GOOD)
    with ThreadPoolExecutor(8) as pool:
        for started in [pool.submit(prepare, postgres, declared) for _ in range(16)]:
            started.result()
    with postgres() as session:
        assert len(session.scalars(select(ServiceIdentity)).all()) == 1
        assert len(session.scalars(select(Grant)).all()) == 1
