"""How long to wait before another try: exponential, capped, with jitter. Who counts tries is the callers' business."""

import random
from datetime import timedelta

MOST_DOUBLINGS = 30


def backoff(failures_so_far: int, first: float, longest: float) -> timedelta:
    """The wait after that many failures: `first` seconds, doubled with each further one up to `longest`; half of it is
    left to chance.
    """
    most = min(first * 2.0 ** min(failures_so_far - 1, MOST_DOUBLINGS), longest)
    return timedelta(seconds=random.uniform(most / 2, most))  # noqa: S311 - spreads tries, keeps no secret
