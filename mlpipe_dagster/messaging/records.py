"""What travels: a record as read, a message to send, and the acknowledgement of one. No Kafka client here."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class Record:
    """One record as it lies in the log; `timestamp` in milliseconds since 1970, `raw_headers` in their order."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    raw_headers: Headers = ()

    @cached_property
    def headers(self) -> dict[str, str]:
        """Headers as text, the last of a name winning; null headers are left out, foreign bytes shown as U+FFFD."""
        return {name: value.decode("utf-8", "replace") for name, value in self.raw_headers if value is not None}

    @property
    def coordinates(self) -> str:
        """`topic/partition/offset`: where the record lies."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def run_key(self) -> str:
        """`topic/partition/offset/timestamp`: a log that began anew reuses offsets, not timestamps."""
        return f"{self.coordinates}/{self.timestamp}"

    @property
    def cause(self) -> str:
        """What makes two deliveries the same: `ce_id`, else SHA-256 (hex) of topic, key and value."""
        return self.headers.get("ce_id") or self._content_hash()

    def _content_hash(self) -> str:
        # the lengths keep (key "a", value "bc") apart from (key "ab", value "c"), and null apart from empty
        digest = hashlib.sha256()
        for part in (self.topic.encode(), self.key, self.value):
            digest.update(b"null" if part is None else f"{len(part)}:".encode() + part)
        return digest.hexdigest()


@dataclass(frozen=True)
class OutboundMessage:
    """One message to publish. A null value is a tombstone; null headers are sent empty, as the client knows no null."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes the message takes in the log at most, its framing included."""
        framing = 100 + 10 * len(self.headers)
        parts = [self.key, self.value, *(name.encode() for name, _ in self.headers), *(v for _, v in self.headers)]
        return framing + sum(len(part) for part in parts if part is not None)


@dataclass(frozen=True)
class Acknowledgement:
    """Where the broker stored a message: topic id (read before sending), partition, offset, timestamp in ms."""

    topic_id: str
    partition: int
    offset: int
    timestamp: int
