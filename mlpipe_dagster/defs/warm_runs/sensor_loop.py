"""When Dagster's daemon looks at sensors. Ours wait inside their ticks and return with the event, so both its pause
between two looks (five seconds) and the shortest interval of a sensor (one second) are latency. No setting has either.
"""

import logging
import sys
from typing import Any

DAEMON = "dagster._daemon.sensor"
PAUSE = "MIN_INTERVAL_LOOP_TIME"
TOO_EARLY = "is_under_min_interval"
WAITS = "mlpipe/waits"
"""Tag of the sensors that wait inside their ticks."""

log = logging.getLogger(__name__)


def quicken(pause_seconds: float) -> bool:
    """Look every so many seconds, and again at once at a waiting sensor whose tick ended well.

    Concerns this process alone; False where it has no sensor daemon, or one that is not as expected.
    """
    daemon = sys.modules.get(DAEMON)
    if daemon is None:
        return False
    pause, too_early = getattr(daemon, PAUSE, None), getattr(daemon, TOO_EARLY, None)
    if not isinstance(pause, int | float) or not callable(too_early):
        log.warning("this Dagster has no %s and %s: sensors answer more slowly than they could", PAUSE, TOO_EARLY)
        return False

    def too_early_for(state: Any, sensor: Any, *limits: Any) -> bool:
        waits_by_itself = WAITS in sensor.tags and state.instigator_data.last_tick_success_timestamp
        return not waits_by_itself and bool(too_early(state, sensor, *limits))

    setattr(daemon, PAUSE, min(pause_seconds, pause))
    if getattr(too_early, "__module__", DAEMON) == DAEMON:  # not ours already
        setattr(daemon, TOO_EARLY, too_early_for)
    return True
