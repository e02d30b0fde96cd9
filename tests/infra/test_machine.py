"""What the one machine does when it starts, as far as it can be done here."""

import json
import subprocess
import sys

from infra.machine import Machine, user_data
from service.settings import Settings

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nAAAA\n-----END RSA PRIVATE KEY-----\n"
MACHINE = Machine(
    image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/stagedoor",
    tag="sha256:0",
    region="eu-central-1",
    log_group="a-log",
    volume="vol-1",
    parameters={
        "STAGEDOOR_GITHUB_APP_ID": "/stagedoor/service/prod/GithubAppId",
        "STAGEDOOR_GITHUB_PRIVATE_KEY": "/stagedoor/service/prod/GithubPrivateKey",
        "STAGEDOOR_TOKEN_KEY": "/stagedoor/service/prod/TokenKey",
    },
    settings={"STAGEDOOR_PUBLIC_URL": "https://x.cloudfront.net"},
    targets='[targets.p]\naccount = "$(touch /tmp/ran)"\n',
)


def written(path):
    """Return what the script writes into a file, as bash would: between the marks, and nothing is expanded."""
    script = user_data(MACHINE)
    return script.split(f"cat > {path} <<'STAGEDOOR'\n")[1].split("\nSTAGEDOOR")[0] + "\n"


def test_the_script_is_one_that_bash_reads():
    for script in (user_data(MACHINE), written("/usr/local/bin/stagedoor-environment")):
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False, capture_output=True).stderr == ""


def test_targets_are_written_as_they_are():
    assert written("/etc/stagedoor/targets.toml") == MACHINE.targets


def test_secrets_reach_the_service_by_a_file_of_variables(tmp_path, monkeypatch):
    names = tmp_path / "names.json"
    names.write_text(written("/etc/stagedoor/names.json"))
    program = written("/usr/local/bin/stagedoor-variables").replace("/etc/stagedoor/names.json", str(names))
    answer = {
        "Parameters": [
            {"Name": "/stagedoor/service/prod/GithubAppId", "Value": "4711"},
            {"Name": "/stagedoor/service/prod/GithubPrivateKey", "Value": PEM},
        ]
    }
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(answer), text=True, capture_output=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2  # Docker's files of variables know no line breaks
    for line in lines:
        monkeypatch.setenv(*line.split("=", 1))
    settings = Settings()
    assert settings.github_app_id == 4711
    assert settings.private_key.strip() == PEM.strip()


def test_the_container_has_no_rights_and_a_read_only_root():
    unit = written("/etc/systemd/system/stagedoor.service")
    for option in ("--read-only", "--cap-drop ALL", "no-new-privileges", "@sha256:0 all"):
        assert option in unit


def test_docker_is_installed_although_the_network_breaks_off(tmp_path):
    """The machine's public address is taken away while it starts: it is given the lasting one."""
    script = user_data(MACHINE).split("token=")[0].replace("sleep 5", "sleep 0")
    package_manager = tmp_path / "dnf"
    package_manager.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/asked\n[ $(wc -l < {tmp_path}/asked) = 3 ]\n")
    package_manager.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert subprocess.run(["bash", "-c", script], env=environment, check=False, capture_output=True).returncode == 0
    assert (tmp_path / "asked").read_text().splitlines() == ["install -y docker"] * 3
