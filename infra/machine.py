"""What the one machine does when it starts: its volume, its secrets, one container."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.services import PORT


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine is told. `parameters` are the secrets' names in the parameter store, by variable."""

    image: str
    tag: str
    region: str
    log_group: str
    volume: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    targets: str


_UNIT = """\
[Unit]
Description=Stagedoor
Requires=docker.service
After=docker.service network-online.target

[Service]
Restart=always
RestartSec=5
TimeoutStartSec=600
TimeoutStopSec=60
RuntimeDirectory=stagedoor
RuntimeDirectoryMode=0700
ExecStartPre=/usr/local/bin/stagedoor-environment
ExecStartPre=-/usr/bin/docker rm --force stagedoor
ExecStart=/usr/bin/docker run --rm --name stagedoor --publish {port}:{port} --env-file /run/stagedoor/environment \\
  --read-only --cap-drop ALL --security-opt no-new-privileges --security-opt seccomp=unconfined \\
  --tmpfs /tmp:rw,nosuid,nodev,mode=1777,size=2g --volume /srv/stagedoor:/data \\
  --volume /etc/stagedoor/targets.toml:/etc/stagedoor/targets.toml:ro \\
  --env STAGEDOOR_TARGETS_FILE=/etc/stagedoor/targets.toml \\
  --pids-limit 4096 --stop-timeout 45 \\
  --log-driver awslogs --log-opt awslogs-group={log_group} --log-opt awslogs-region={region} \\
  --log-opt mode=non-blocking {image} all
ExecStop=/usr/bin/docker stop --time 45 stagedoor

[Install]
WantedBy=multi-user.target
"""
"""Docker's own filter of system calls forbids the namespaces that keep repository code apart; all else that parts the
container from the machine stays. docs/threat-model.md says what follows."""

_ENVIRONMENT = """\
#!/bin/bash
# Writes what the container is told into memory, where root alone reads it. Secrets are in no argument and no log.
set -euo pipefail
umask 077
cat /etc/stagedoor/settings > /run/stagedoor/environment
aws ssm get-parameters --region {region} --with-decryption --output json --names {names} \\
  | python3 /usr/local/bin/stagedoor-variables >> /run/stagedoor/environment
aws ecr get-login-password --region {region} | docker login --username AWS --password-stdin {registry}
docker pull --quiet {image}
"""

_VARIABLES = """\
import json, sys
names = json.load(open("/etc/stagedoor/names.json"))
found = {one["Name"]: one["Value"] for one in json.load(sys.stdin)["Parameters"]}
for variable, name in names.items():
    if name in found:
        print(variable + "=" + found[name].strip().replace("\\n", "\\\\n"))
"""
"""Docker's files of variables know no line breaks; the service takes a private key with \\n in their place."""

_START = """\
#!/bin/bash
set -euxo pipefail
until dnf install -y docker; do sleep 5; done
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' http://169.254.169.254/latest/api/token)
machine=$(curl -sf -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/instance-id)
until aws ec2 attach-volume --region {region} --volume-id {volume} --instance-id "$machine" --device /dev/xvdf; do
  sleep 5
done
disk=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$(echo {volume} | tr -d -)
until [ -e "$disk" ]; do sleep 1; done
blkid "$disk" || mkfs.ext4 -q "$disk"
mkdir -p /srv/stagedoor /etc/stagedoor
echo "$disk /srv/stagedoor ext4 defaults,nofail,nosuid,nodev 0 2" >> /etc/fstab
mount /srv/stagedoor
install -d -o 10001 -g 10001 -m 0700 /srv/stagedoor
{files}
chmod 0755 /usr/local/bin/stagedoor-environment
systemctl enable --now docker stagedoor
"""


def user_data(machine: Machine) -> str:
    """Return the script that the machine runs when it starts for the first time."""
    image = f"{machine.image}@{machine.tag}" if machine.tag.startswith("sha256:") else f"{machine.image}:{machine.tag}"
    names = ", ".join(f'"{variable}": "{name}"' for variable, name in machine.parameters.items())
    environment = _ENVIRONMENT.format(
        region=machine.region,
        names=" ".join(machine.parameters.values()),
        registry=machine.image.partition("/")[0],
        image=image,
    )
    files = {
        "/etc/stagedoor/settings": "\n".join(f"{name}={value}" for name, value in machine.settings.items()) + "\n",
        "/etc/stagedoor/names.json": f"{{{names}}}\n",
        "/etc/stagedoor/targets.toml": machine.targets,
        "/usr/local/bin/stagedoor-variables": _VARIABLES,
        "/usr/local/bin/stagedoor-environment": environment,
        "/etc/systemd/system/stagedoor.service": _UNIT.format(
            port=PORT, log_group=machine.log_group, region=machine.region, image=image
        ),
    }
    written = "\n".join(f"cat > {path} <<'STAGEDOOR'\n{text.rstrip()}\nSTAGEDOOR" for path, text in files.items())
    return _START.format(region=machine.region, volume=machine.volume, files=written)
