"""What one writes on Dagster's own ground: a polling sensor with a cursor, a partitioned asset, a hook that answers.

Two of each: one sensor at Dagster's default interval of 30 s, one at the shortest, 1 s. Started by `dagster dev`.
"""

import os
from uuid import uuid4

import dagster as dg
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

BOOTSTRAP = "LATENCY_BOOTSTRAP"
INTERVALS = (1, 30)

keys = dg.StaticPartitionsDefinition(["some"])


class Trigger(dg.Config):
    """What the sensor hands on."""

    cause: str = ""


def topics(interval: int) -> tuple[str, str]:
    """Where the sensor of an interval reads, and where its asset answers."""
    return f"polling-{interval}-trigger", f"polling-{interval}"


def build(interval: int) -> tuple[dg.AssetsDefinition, dg.SensorDefinition]:
    """The asset and sensor of one interval."""

    @dg.success_hook(name=f"answer_{interval}")
    def answer(context: dg.HookContext) -> None:
        producer = KafkaProducer(bootstrap_servers=os.environ[BOOTSTRAP], enable_idempotence=False, linger_ms=0)
        headers = [("ce_id", str(uuid4()).encode()), ("ce_causationid", context.op_config["cause"].encode())]
        producer.send(topics(interval)[1], key=b"some", value=b"{}", headers=headers).get(timeout=20)
        producer.close()

    @dg.asset(name=f"asset_{interval}", hooks={answer}, partitions_def=keys)
    def asset(config: Trigger) -> None:
        """Nothing to do."""

    @dg.sensor(
        name=f"sensor_{interval}",
        target=[asset],
        minimum_interval_seconds=interval,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        consumer = KafkaConsumer(bootstrap_servers=os.environ[BOOTSTRAP], group_id=None)
        partition = TopicPartition(topics(interval)[0], 0)
        consumer.assign([partition])
        consumer.seek(partition, int(context.cursor or 0))
        records = [record for batch in consumer.poll(timeout_ms=500).values() for record in batch]
        consumer.close()
        requests = [_request(interval, record) for record in records]
        return dg.SensorResult(requests, cursor=str(records[-1].offset + 1) if records else context.cursor)

    return asset, sensor


def _request(interval: int, record: object) -> dg.RunRequest:
    headers: list[tuple[str, bytes]] = record.headers  # type: ignore[attr-defined]  # kafka-python has no types
    cause = dict(headers)["ce_id"].decode()
    config = {"ops": {f"asset_{interval}": {"config": {"cause": cause}}}}
    return dg.RunRequest(run_key=cause, partition_key="some", run_config=config)


built = [build(interval) for interval in INTERVALS]
defs = dg.Definitions(assets=[asset for asset, _ in built], sensors=[sensor for _, sensor in built])
