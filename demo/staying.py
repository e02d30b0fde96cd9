"""`make up`: the cloud stays, says where everything is, and lets whoever started it play the pull request's author."""

import itertools
import signal
import sys
from contextlib import suppress
from urllib.parse import urlsplit

from demo import notes_app
from demo.cloud import ACCOUNT, REGION, Cloud
from demo.story import Story
from demo.telling import Teller

HELP = "push · break · close · reopen · merge · quit"


def stay(cloud: Cloud, teller: Teller) -> None:
    """Bring a first preview up, print where everything is, and do as told until the end."""
    story = Story(cloud, teller)
    story.open()
    story.go_live()
    teller.say("")
    for name, where in places(cloud, story).items():
        teller.say(f"  {name:<16} {where}")
    with suppress(KeyboardInterrupt):
        if sys.stdin.isatty():
            teller.say(f"\nYou are the pull request's author: {HELP}")
            _obey(story, teller)
        else:
            teller.say("\nCtrl-C or SIGTERM ends all of it.")
            signal.pause()


def places(cloud: Cloud, story: Story) -> dict[str, str]:
    """Return where everything is, by what people call it."""
    url, host = cloud.aws.url_for(story.first.url)
    api = f"{cloud.github.api_url}/repos/{story.pull.repository.full_name}"
    aws = " ".join(
        f"{name}={value}"
        for name, value in cloud.aws.environment(ACCOUNT, REGION).items()
        if name in {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}
    )
    reading = f"curl -H 'Authorization: Bearer {cloud.github.developer_token}'"
    return {
        "preview": f"http://{host}{urlsplit(url).path}",
        "stages and runs": f"{cloud.service.url}/",
        "its comment": f"{reading} {api}/issues/{story.pull.number}/comments",
        "pull request": f"{reading} {api}/pulls/{story.pull.number}",
        "its repository": f"git clone {_clone_url(cloud, story)} notes",
        "run it here": f"cd notes; stagedoor login --server {cloud.service.url}; stagedoor dev --stage pr-1",
        "AWS": aws,
        "service's log": str(cloud.service.log),
        "database": str(cloud.service.database),
    }


def _clone_url(cloud: Cloud, story: Story) -> str:
    """Return the repository's URL with the developer's token in it, as git asks for no password here."""
    parts = urlsplit(cloud.github.api_url)
    return f"{parts.scheme}://mona:{cloud.github.developer_token}@{parts.netloc}/{story.pull.repository.full_name}.git"


def _obey(story: Story, teller: Teller) -> None:
    """Do what is typed, a word a line, until `quit` or the end of the input."""
    github, repository, number = story.cloud.github, story.pull.repository, story.pull.number
    versions = itertools.count(2)
    print("> ", end="", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "push":
                version = f"notes {next(versions)}"
                commit = story.push({**notes_app.whole_program(), **notes_app.handler(version)}, version)
                teller.say(f'{commit[:7]} is pushed; GET / will answer "{version}".')
            case "break":
                teller.say(f"{story.push(notes_app.broken_program(), 'Break it')[:7]} is pushed; its synth raises.")
            case "close":
                github.close(repository, number)
            case "reopen":
                github.reopen(repository, number)
            case "merge":
                github.merge(repository, number)
            case "quit":
                return
            case _:
                teller.say(HELP)
        print("> ", end="", flush=True)
