"""The one thread that sends the outbox's events after the API's commits, so that no answer waits for Kafka.

What cannot be sent stays in the outbox for the sweep.
"""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)
STOP_SECONDS = 10.0


class Flusher:
    """Calls `flush` in its own thread soon after each `nudge`; nudges that come meanwhile are one."""

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="outbox-flusher", daemon=True)

    def start(self) -> None:
        """Start, and send what an earlier process left behind."""
        self._thread.start()
        self.nudge()

    def nudge(self) -> None:
        """Say that something may be due; returns at once."""
        self._wanted.set()

    def stop(self) -> None:
        """Finish what is being sent, and end."""
        self._stopping = True
        self._wanted.set()
        self._thread.join(STOP_SECONDS)

    def _work(self) -> None:
        while self._wanted.wait() and not self._stopping:
            self._wanted.clear()
            try:
                self._flush()
            except Exception:  # the thread must outlive whatever one round meets; the rows stay due
                log.exception("a round of the outbox failed; its events stay due")
