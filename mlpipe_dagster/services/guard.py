"""Ends the services when the supervisor is gone without having ended them (killed, terminal closed).

Runs as a process of its own, as a plain file and with the standard library only. The supervisor writes `+pgid` and
`-pgid` lines to its standard input as process groups come and go; the end of the input means that it has ended.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE_SECONDS = 5.0


def groups_left(lines: Iterable[str]) -> list[int]:
    """The process groups that were announced and not taken back, in their order."""
    left: dict[int, None] = {}
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            left[group] = None
        else:
            left.pop(group, None)
    return list(left)


def signal_group(group: int, number: int) -> bool:
    """Send a signal (0: just ask) to all processes of a group; False where there are none."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS refuses for a group of zombies
        return False
    return True


def main() -> None:
    """Wait for the supervisor's end, then end what it left behind."""
    left = groups_left(sys.stdin)
    for group in left:
        signal_group(group, signal.SIGTERM)
    give_up_at = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < give_up_at and any(signal_group(group, 0) for group in left):
        time.sleep(0.05)
    for group in left:
        signal_group(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
