"""How often Dagster's daemon looks whether a sensor is due. Our sensors wait inside their ticks and return with the
event, so the pause between two looks is latency: five seconds by default, and no setting for it.
"""

import logging
import sys

DAEMON = "dagster._daemon.sensor"
PAUSE = "MIN_INTERVAL_LOOP_TIME"

log = logging.getLogger(__name__)


def shorten_pause(seconds: float) -> bool:
    """Set the pause between two looks in this process; False where it has no sensor daemon or is not as expected."""
    daemon = sys.modules.get(DAEMON)
    if daemon is None:
        return False
    known = getattr(daemon, PAUSE, None)
    if not isinstance(known, int | float):
        log.warning("this Dagster has no %s.%s: sensors answer more slowly than they could", DAEMON, PAUSE)
        return False
    setattr(daemon, PAUSE, min(seconds, known))
    return True
