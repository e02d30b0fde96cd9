"""`make up`: the cloud stays, and says where everything is."""

import signal
from urllib.parse import urlsplit

from demo.cloud import ACCOUNT, REGION, Cloud
from demo.story import Story
from demo.telling import Teller


def stay(cloud: Cloud, teller: Teller) -> None:
    """Bring a first preview up, print where everything is, and wait for a signal."""
    story = Story(cloud, teller)
    story.open()
    story.go_live()
    for name, where in places(cloud, story).items():
        teller.say(f"  {name:<20} {where}")
    teller.say("\nCtrl-C ends all of it.")
    while True:
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
    return {
        "preview": f"http://{host}{urlsplit(url).path}",
        "stages and runs": f"{cloud.service.url}/",
        "pull request": f"{api}/pulls/{story.pull.number}",
        "its comment": f"{api}/issues/{story.pull.number}/comments",
        "repository": f"{cloud.github.web_url}/{story.pull.repository.full_name}.git",
        "AWS": aws,
        "service's log": str(cloud.service.log),
        "database": str(cloud.service.database),
    }
