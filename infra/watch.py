"""What is counted, who is told of it, and a page to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_logs as logs
from constructs import Construct

from stagedoor.constructs import Topic
from stagedoor.constructs.stage import stage_of

BEHIND, CONNECTED = "pulse: behind", "pulse: connected"
"""The lines of the log that are counted: service/pulse.py writes them once a minute."""
SUBSCRIBE = "The topic of the alarms: who wants to hear of them subscribes to it"
_MINUTE = Duration.minutes(1)


def counted(log: logs.LogGroup, name: str, event: str, field: str, statistic: str) -> cloudwatch.Metric:
    """Return the metric of a field in the log's lines of one event. Each stage of the service has its own namespace:
    what one is behind with is no work for another's autoscaler.
    """
    return logs.MetricFilter(
        log,
        name,
        log_group=log,
        filter_pattern=logs.FilterPattern.string_value("$.event", "=", event),
        metric_namespace=f"Stagedoor/{stage_of(log).name}",
        metric_name=name,
        metric_value=f"$.{field}",
    ).metric(statistic=statistic, period=_MINUTE)


@dataclass(frozen=True, slots=True)
class Watched:
    """One thing that is watched: an alarm follows when it is over `limit` for so many of its periods in a row.

    `silence` says that no data at all is bad, too.
    """

    name: str
    metric: cloudwatch.IMetric
    limit: float
    periods: int
    what: str
    silence: bool = False
    below: bool = False


class Watch(Construct):
    """Alarms to one topic, and a dashboard with a graph of each thing that is watched."""

    def __init__(self, scope: Construct, construct_id: str, watched: Sequence[Watched]) -> None:
        super().__init__(scope, construct_id)
        self.topic = Topic(self, "Alarms")
        dashboard = cloudwatch.Dashboard(self, "Dashboard")
        for one in watched:
            alarm = cloudwatch.Alarm(
                self,
                one.name,
                metric=one.metric,
                threshold=one.limit,
                evaluation_periods=one.periods,
                alarm_description=one.what,
                comparison_operator=(
                    cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
                    if one.below
                    else cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
                ),
                treat_missing_data=(
                    cloudwatch.TreatMissingData.BREACHING if one.silence else cloudwatch.TreatMissingData.NOT_BREACHING
                ),
            )
            alarm.add_alarm_action(actions.SnsAction(self.topic.nodes.topic))
            dashboard.add_widgets(cloudwatch.GraphWidget(title=one.name, left=[one.metric], width=8))
