"""Deliveries of an installation that is gone, which come late or are sent again from the App's page."""

from sqlalchemy import select

from service.models import Installation
from tests.service.webhooks.deliveries import Sent, example
from tests.service.webhooks.test_doors import INSTALLATION, SHORT, SYNCHRONIZE, repository, through_installation


def test_a_late_delivery_does_not_lead_back_to_an_installation_that_is_gone(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)
    through_installation("installation", "deleted").to(client)
    created = example("installation", "created") | {"repositories": [SHORT]}
    Sent("installation", created).to(client)
    added = through_installation(
        "installation_repositories", "added", repositories_added=[SHORT], repositories_removed=[]
    )

    for late in (Sent("pull_request", SYNCHRONIZE), Sent("push", PUSHED), added):
        assert late.to(client).status_code == 202

    with database() as session:
        current = session.get_one(Installation, repository(database).installation_id)
        gone = session.scalars(select(Installation).where(Installation.github_id == INSTALLATION)).one()
    assert (current.github_id, current.removed_at) == (created["installation"]["id"], None)
    assert gone.removed_at


PUSHED = example("push", ref="refs/heads/master") | {
    "repository": SYNCHRONIZE["repository"],
    "installation": {"id": INSTALLATION},
}
