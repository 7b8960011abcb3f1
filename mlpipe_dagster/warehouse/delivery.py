"""Events leave: flush the outbox, and end the pipeline of an event that can never be delivered.

Called after every commit by hooks, the API and sensors, and by the sweep for what they had to leave behind.
"""

import logging

from sqlalchemy.orm import Session

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.warehouse import failures, outbox
from mlpipe_dagster.warehouse.outbox import Publishes
from mlpipe_dagster.warehouse.schema import OutboxRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

log = logging.getLogger(__name__)


def deliver(warehouse: Warehouse, publisher: Publishes) -> None:
    """Publish what is due; raises BrokerUnavailable, and then all of it stays due."""

    def give_up(session: Session, row: OutboxRow) -> None:
        failures.fail_undeliverable(session, warehouse.settings, row)

    outbox.flush(warehouse.catalogue, publisher, give_up)


def deliver_or_leave(warehouse: Warehouse, publisher: Publishes) -> str | None:
    """As `deliver`; a broker that is down is the returned reason, not an error: the sweep will send what stays."""
    try:
        deliver(warehouse, publisher)
    except BrokerUnavailable as error:
        log.warning("events wait in the outbox: %s", error)
        return str(error)
    return None
