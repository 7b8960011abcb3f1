"""The one thread of an API process that tells outside channels what waits for them, a few at a time.

It looks for itself: notifications are made in other processes, too. Of several API processes one leases a row.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from mlpipe_dagster.channels import apart
from mlpipe_dagster.channels.apart import Message
from mlpipe_dagster.channels.message import about_notification, about_question, columns_not_named
from mlpipe_dagster.warehouse import datasets, deliveries, links
from mlpipe_dagster.warehouse.schema import DeliveryRow, Notification, Question
from mlpipe_dagster.warehouse.warehouse import Warehouse

log = logging.getLogger(__name__)
POLL_SECONDS = 2.0
STOP_SECONDS = 10.0
AT_ONCE = 4
"""Deliveries at the same time: each has a process of its own."""


class Courier:
    """Sends in its own thread what is due."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)

    def start(self) -> None:
        """Start, and send what an earlier process left behind."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being sent, and end; what was not finished is due again when its lease has ended."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _work(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="courier") as pool:
            while not self._stopping.is_set():
                try:
                    sent = carry(self._warehouse, pool)
                except Exception:  # the thread must outlive whatever one round meets; the rows stay due
                    log.exception("a round of notifications failed; they stay due")
                    sent = 0
                if not sent:
                    self._stopping.wait(POLL_SECONDS)


def carry(warehouse: Warehouse, pool: ThreadPoolExecutor) -> int:
    """Tell a few of what is due; returns how many were tried."""
    rows = deliveries.claim(warehouse.catalogue, AT_ONCE)
    list(pool.map(lambda row: _deliver(warehouse, row), rows))
    return len(rows)


def _deliver(warehouse: Warehouse, row: DeliveryRow) -> None:
    values = warehouse.settings
    with warehouse.reading() as session:
        url = deliveries.url_of(session, values, row.channel)
    message = _message(warehouse, row)
    if url is None or isinstance(message, str):
        why = message if isinstance(message, str) else "The channel was removed."
        with warehouse.transaction() as session:
            deliveries.note_dropped(session, row, why)
        return
    users_own = not row.channel.startswith(deliveries.PLATFORM)
    outcome = apart.send(url, message, confined=users_own and not values.notify_private)
    with warehouse.transaction() as session:
        if outcome.taken:
            deliveries.note_delivered(session, row)
        else:
            deliveries.note_failed(session, values, row, outcome.trouble, outcome.lasting)
    if not outcome.taken:
        log.warning("%s did not take a %s of %s: %s", row.shown, row.kind, row.user_id, outcome.trouble)


def _message(warehouse: Warehouse, row: DeliveryRow) -> Message | str:
    """What to tell, or why there is nothing to tell any more."""
    with warehouse.reading() as session:
        if row.kind == "question":
            question = session.get(Question, row.message)
            if question is None or question.status != "open" or question.version != row.version:
                return "The question needs no answer any more."
            version = datasets.numbered(session, question.user_id, question.dataset_id, question.number)
            hidden = columns_not_named(datasets.profile_of(version) if version else None)
            return about_question(warehouse.settings, question, hidden)
        told = session.get(Notification, row.message)
        if told is None:
            return "The notification was deleted."
        key = datasets.partition_key_of(session, told.user_id, told.dataset_id) or told.dataset_id
    if told.question_id:
        return about_notification(told, links.answer_link(warehouse.settings, told.question_id))
    return about_notification(told, told.link or links.pipeline_link(warehouse.settings, key, told.user_id))
