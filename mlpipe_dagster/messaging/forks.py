"""What a forked child does with Kafka clients it inherits: forget them, and begin with its own.

A client's threads do not survive a fork, its locks may be held for ever and its sockets belong to the parent. Every
owner of a client registers here; nothing else about processes lives here.
"""

import os
from typing import Protocol
from weakref import WeakSet


class StartsOver(Protocol):
    """An owner of Kafka clients."""

    def start_over(self) -> None:
        """Forget clients, threads and locks without touching them."""


_owners: "WeakSet[StartsOver]" = WeakSet()
_inherited: list[object] = []


def start_over_in_children(owner: StartsOver) -> None:
    """Call `owner.start_over()` in every forked child, before anything else runs there."""
    _owners.add(owner)


def keep_untouched(inherited: object | None) -> None:
    """Hold an inherited client for ever: its finalizer would speak on the parent's sockets."""
    if inherited is not None:
        _inherited.append(inherited)


def _start_over() -> None:
    for owner in list(_owners):
        owner.start_over()


os.register_at_fork(after_in_child=_start_over)
