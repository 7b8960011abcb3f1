"""The floor: plain kafka-python processes, each of which reads a topic and answers on the next."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from subprocess import PIPE, Popen
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

HOPS = ("chain-0", "chain-1", "chain-2", "chain-3", "chain-4")


@contextmanager
def running_chain(bootstrap: str, hops: Sequence[str] = HOPS) -> Iterator[None]:
    """One process for each hop."""
    processes = [
        Popen([sys.executable, "-m", __spec__.name, bootstrap, source, target], stdout=PIPE)
        for source, target in pairwise(hops)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # it reads now
        yield
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def main(bootstrap: str, source: str, target: str) -> None:
    """Answer for ever."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False, linger_ms=0)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    partition = TopicPartition(source, 0)
    consumer.assign([partition])
    consumer.seek_to_end(partition)
    consumer.position(partition)
    print("ready", flush=True)
    while True:
        batches = consumer.poll(timeout_ms=500)
        for record in (record for batch in batches.values() for record in batch):
            cause = dict(record.headers)["ce_id"]
            headers = [("ce_id", str(uuid4()).encode()), ("ce_causationid", cause)]
            producer.send(target, key=record.key, value=record.value, headers=headers).get(timeout=20)
        if not batches:
            time.sleep(0.002)


if __name__ == "__main__":
    main(*sys.argv[1:4])
