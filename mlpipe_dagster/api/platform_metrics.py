"""The metrics of the platform as Prometheus names them, made anew for each scrape from catalogue and logs.

Every API process says the same about them: add them up over no processes, take `max`. Nothing is counted here.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from mlpipe_dagster.messaging.log_watch import LogView
from mlpipe_dagster.messaging.topics import DEAD_LETTER_SUFFIX, pipeline_topics, topic_table
from mlpipe_dagster.vocabulary import AFTER_TIMEOUT, DELIVERY_STATES, PIPELINE_STATUSES
from mlpipe_dagster.warehouse.census import DURATION_BUCKETS, Census, StageKey

FRESH_SECONDS = 5.0
STAGE = ("stage", "player")
GROUP = ("group", "topic", "partition")

log = logging.getLogger(__name__)


class Cached:
    """A census that is taken again when it is older than `FRESH_SECONDS`; None where the catalogue does not answer."""

    def __init__(self, take: Callable[[], Census]) -> None:
        self._take, self._lock = take, threading.Lock()
        self._census: Census | None = None
        self._taken_at = float("-inf")

    def census(self) -> Census | None:
        """The latest; simultaneous scrapes count once."""
        with self._lock:
            if time.monotonic() - self._taken_at > FRESH_SECONDS:
                try:
                    self._census = self._take()
                except SQLAlchemyError as error:
                    log.warning("the metrics cannot ask the catalogue", exc_info=error)
                    self._census = None
                self._taken_at = time.monotonic()
            return self._census


class PlatformMetrics(Collector):
    """What a scrape finds, apart from requests."""

    def __init__(self, take_census: Callable[[], Census], look: Callable[[], LogView]) -> None:
        self._cached, self._look = Cached(take_census), look

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would else collect once while it is set up."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families; those of a part that does not answer are left out, and its `up` is 0."""
        census, view = self._cached.census(), self._look()
        yield _gauge("mlpipe_catalogue_up", "Whether the catalogue answers this process.", census is not None)
        yield _gauge("mlpipe_kafka_up", "Whether Kafka answers this process.", view.reachable)
        if census is not None:
            yield from _catalogue(census)
        if view.reachable:
            yield from _logs(view)
        if census is not None and view.reachable:
            yield from _lags(census, view)
            yield _dead_letters(census, view)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _labelled(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _catalogue(census: Census) -> Iterator[Metric]:
    yield _gauge("mlpipe_outbox_waiting", "Events that wait to be published on Kafka.", census.outbox_waiting)
    yield _gauge(
        "mlpipe_outbox_oldest_age_seconds", "Age of the oldest event that waits; 0: none.", census.outbox_oldest_seconds
    )
    yield _gauge(
        "mlpipe_outbox_undeliverable", "Events that Kafka can never take, for their size.", census.outbox_undeliverable
    )
    pipelines = dict.fromkeys(PIPELINE_STATUSES, 0) | dict(census.pipelines)
    by_status = {(status,): number for status, number in pipelines.items()}
    yield _labelled("mlpipe_pipelines", "Pipelines by status.", ("status",), by_status)
    yield _labelled("mlpipe_stages", "Pieces of work in the ledger by state.", (*STAGE, "state"), census.stages)
    yield _labelled(
        "mlpipe_stages_failed_last_hour", "Stages that failed for good in the last hour.", STAGE, census.failed_lately
    )
    yield _durations(census)
    yield _run_failures(census.run_failures)
    yield _gauge("mlpipe_questions_waiting", "Questions that wait for a person.", census.questions_waiting)
    yield _gauge(
        "mlpipe_question_oldest_age_seconds",
        "Age of the question that has waited longest; 0: none.",
        census.question_oldest_seconds,
    )
    deliveries = dict.fromkeys(DELIVERY_STATES, 0) | dict(census.deliveries)
    yield _labelled(
        "mlpipe_deliveries",
        "Notifications and questions to outside channels, by state.",
        ("state",),
        {(state,): number for state, number in deliveries.items()},
    )
    yield _gauge(
        "mlpipe_delivery_oldest_age_seconds",
        "Age of the delivery to an outside channel that has waited longest; 0: none.",
        census.delivery_oldest_seconds,
    )
    yield _gauge(
        "mlpipe_deliveries_failed_last_hour",
        "Deliveries to outside channels that were given up in the last hour.",
        census.deliveries_failed_lately,
    )
    overdue = dict.fromkeys(AFTER_TIMEOUT, 0) | dict(census.questions_overdue)
    text = "Questions that still wait though their time is over, by what was to happen then."
    by_outcome = {(outcome,): number for outcome, number in overdue.items()}
    yield _labelled("mlpipe_questions_overdue", text, ("outcome",), by_outcome)


def _durations(census: Census) -> Metric:
    text = "How long stages took that ended with a result: ours once a run has begun, foreign ones from their trigger."
    family = HistogramMetricFamily("mlpipe_stage_duration_seconds", text, labels=STAGE)
    for key, found in sorted(census.durations.items()):
        bounds = (*map(str, DURATION_BUCKETS), "+Inf")
        buckets = list(zip(bounds, (*found.within, found.count), strict=True))
        family.add_metric(key, buckets, sum_value=found.seconds)
    return family


def _run_failures(failures: Mapping[StageKey, int]) -> Metric:
    text = "Runs that took a stage and ended without its result, tried again or not."
    family = CounterMetricFamily("mlpipe_run_failures", text, labels=STAGE)
    for key, number in sorted(failures.items()):
        family.add_metric(key, number)
    return family


def _logs(view: LogView) -> Iterator[Metric]:
    ends = {(topic, str(partition)): end for (topic, partition), end in view.ends.items()}
    yield _labelled("kafka_partition_latest_offset", "Offset behind the last record.", ("topic", "partition"), ends)


def _lags(census: Census, view: LogView) -> Iterator[Metric]:
    groups = {topic.name: topic.group for topic in topic_table() if topic.group}
    read: dict[tuple[str, ...], float] = {}
    behind: dict[tuple[str, ...], float] = {}
    for (topic, partition), end in view.ends.items():
        if topic in groups:
            key = (groups[topic], topic, str(partition))
            offset = _next_offset(census, view, topic, partition)
            read[key], behind[key] = offset, max(end - offset, 0)
    yield _labelled("kafka_consumergroup_group_offset", "Offset that our reader of the topic reads next.", GROUP, read)
    yield _labelled(
        "kafka_consumergroup_group_lag", "Records our reader of the topic has still to read.", GROUP, behind
    )


def _next_offset(census: Census, view: LogView, topic: str, partition: int) -> int:
    """0 before the first read, and where the topic was created anew: the reader begins again there."""
    topic_id, offsets = census.positions.get(topic, (None, {}))
    return offsets.get(partition, 0) if topic_id == view.topic_ids[topic] else 0


def _dead_letters(census: Census, view: LogView) -> Metric:
    """Those in the log, less those that were handled and are in it still."""
    kept = {(f"{topic}{DEAD_LETTER_SUFFIX}",): 0.0 for topic in pipeline_topics()}
    for (topic, partition), end in view.ends.items():
        if topic.endswith(DEAD_LETTER_SUFFIX):
            kept[topic,] += end - view.begins.get((topic, partition), 0)
    for coordinates, topic_id in census.handled_letters:
        topic, number, offset = coordinates.rsplit("/", 2)
        if view.topic_ids.get(topic) == topic_id and int(offset) >= view.begins.get((topic, int(number)), 0):
            kept[topic,] -= 1
    return _labelled("mlpipe_dead_letters_open", "Dead letters that nobody replayed or discarded.", ("topic",), kept)
