"""Token buckets: so many requests a second for each key or address, with room for a burst. One process counts alone."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 10_000
"""Beyond so many the one that was quiet longest is forgotten: it would have filled up again by then."""


class Rates:
    """Buckets of `burst` tokens that fill at `a_second`; a rate of 0 lets everything through."""

    def __init__(self, a_second: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._a_second, self._burst, self._now = a_second, burst, now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, who: str) -> int:
        """Take a token: 0, or the whole seconds until there is one."""
        if self._a_second <= 0:
            return 0
        with self._lock:
            now = self._now()
            tokens, at = self._buckets.pop(who, (float(self._burst), now))
            tokens = min(float(self._burst), tokens + (now - at) * self._a_second)
            missing = max(0.0, 1.0 - tokens)
            self._buckets[who] = (tokens if missing else tokens - 1.0, now)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        return math.ceil(missing / self._a_second)
