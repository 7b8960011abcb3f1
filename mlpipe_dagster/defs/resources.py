"""Resources: the warehouse (on S3 through dagster-aws) and Kafka. Each opens what it needs when it is first used."""

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import dagster as dg

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.settings import Settings, settings
from mlpipe_dagster.stages.outcome import Say, StageOutcome
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse.delivery import deliver, deliver_or_leave
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse

Work = Callable[[Warehouse, Claim, Say], StageOutcome]
"""A stage: does the work of a claim, stores the result, tells about it."""

_publishers: dict[str, Publisher] = {}


def close_publishers() -> None:
    """Close the publishers of this process; what needs one next opens another."""
    while _publishers:
        _publishers.popitem()[1].close()


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """The data warehouse that the environment names."""

    def open(self) -> Warehouse:
        """The warehouse; its database connections are shared in this process."""
        values = settings()
        return open_warehouse(values, s3_client(values) if values.objects_location.startswith("s3://") else None)


@lru_cache(maxsize=1)
def s3_client(values: Settings) -> Any:
    """boto3's S3 client, made by dagster-aws's S3Resource from our settings."""
    from dagster_aws.s3 import S3Resource

    secret = values.s3_secret_key.get_secret_value()
    return S3Resource(
        endpoint_url=values.s3_endpoint_url or None,
        region_name=values.s3_region,
        aws_access_key_id=values.s3_access_key or None,
        aws_secret_access_key=secret or None,
    ).get_client()


class StagesResource(dg.ConfigurableResource[None]):
    """The function that does each stage's work, as `module:name`: imported in the run that needs it, never before."""

    dataset: str = "mlpipe_dagster.stages.dataset:read_dataset"
    bias: str = "mlpipe_dagster.stages.bias:report_bias"
    automl: str = "mlpipe_dagster.stages.automl:train_model"
    xai: str = "mlpipe_dagster.stages.xai:explain"

    def work(self, stage: Stage) -> Work:
        """The function of a stage."""
        module, name = str(getattr(self, stage.value)).split(":")
        found: Work = getattr(importlib.import_module(module), name)
        return found


class KafkaResource(dg.ConfigurableResource[Publisher]):
    """Where events leave to."""

    @property
    def connection(self) -> Connection:
        """The brokers that the environment names."""
        return Connection.from_settings()

    def publisher(self) -> Publisher:
        """One publisher a process and broker."""
        connection = self.connection
        if connection.bootstrap_servers not in _publishers:
            _publishers[connection.bootstrap_servers] = Publisher(connection)
        return _publishers[connection.bootstrap_servers]

    def deliver(self, warehouse: Warehouse) -> None:
        """Publish the outbox; raises BrokerUnavailable."""
        deliver(warehouse, self.publisher())

    def deliver_or_leave(self, warehouse: Warehouse) -> str | None:
        """Publish the outbox, or say why it stays for the sweep."""
        return deliver_or_leave(warehouse, self.publisher())
