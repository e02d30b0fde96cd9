"""SNS topics."""

from typing import Any

from stagedoor.constructs.binding import Binding, statement
from stagedoor.constructs.grants.key import encrypt


def topic_binding(topic: Any, name: str) -> Binding:
    """Return what a topic gives."""
    publish = (statement("sns:Publish", topic.topic_arn), *encrypt(getattr(topic, "master_key", None)))
    return Binding("Topic", name, topic, {"topic_arn": topic.topic_arn}, {"publish": publish}, ("publish",))
