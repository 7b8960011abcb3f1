"""Where the brokers are and how clients reach them; and the one way to ask a broker a question.

Every Kafka client of mlpipe gets its options here; how the wire is protected is security.py's. Topics, records and
delivery live in the other modules.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from kafka import KafkaAdminClient
from kafka.errors import BrokerResponseError, KafkaError, KafkaTimeoutError, SaslAuthenticationFailedError
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.forks import keep_untouched, start_over_in_children
from mlpipe_dagster.messaging.security import PLAIN_TEXT, Security
from mlpipe_dagster.settings import Settings, settings

BOOTSTRAP_SECONDS = 2.0
REQUEST_SECONDS = 2.5
RECONNECT_SECONDS = 0.5
EMBEDDED_CLUSTER = "mlpipe-"  # how the cluster ids of embedded brokers begin
KNOCK_SECONDS = 1.0
HUNG_UP = "the broker hung up, as it does where it does not accept the user, the password or the token"
RETRY_SECONDS = 0.02  # a producer spends it on every topic it has not met yet

Answer = TypeVar("Answer")
Client = TypeVar("Client")


@dataclass(frozen=True)
class Connection:
    """The brokers (`host:port,host:port`), the limit of one record in bytes, and how the wire is protected."""

    bootstrap_servers: str
    max_message_bytes: int = 8 * 1024 * 1024
    security: Security = field(default_factory=Security)

    @classmethod
    def from_settings(cls, values: Settings | None = None) -> Self:
        """The connection that the settings name (default: those of this process).

        Raises BadWireSettings where they are incomplete, or would send events to another machine in the clear unasked.
        """
        known = values or settings()
        return cls(known.kafka_bootstrap_servers, known.kafka_max_message_bytes, Security.from_settings(known))

    @property
    def servers(self) -> list[str]:
        """The addresses one by one."""
        return [server.strip() for server in self.bootstrap_servers.split(",")]

    def client_options(self) -> dict[str, object]:
        """Keyword arguments of every kafka-python client. Raises BrokerUnavailable for unusable certificates."""
        return {
            "bootstrap_servers": self.servers,
            "bootstrap_timeout_ms": int(BOOTSTRAP_SECONDS * 1000),
            "request_timeout_ms": int(REQUEST_SECONDS * 1000),
            "reconnect_backoff_max_ms": int(RECONNECT_SECONDS * 1000),
            **self.security.client_options(),
        }

    def log_client_options(self) -> dict[str, object]:
        """Keyword arguments of consumers and producers: they create no topics by asking for them."""
        return {**self.client_options(), "kafka_client": _creating_nothing}


def _creating_nothing(**options: object) -> KafkaNetClient:
    """A client whose background questions create no topics: kafka-python 3.0.12 loses `allow_auto_create_topics`.

    An embedded broker that comes back empty would else get its topics, with four partitions, from whoever asks first.
    """
    client = KafkaNetClient(**options)
    client.cluster.config.update(allow_auto_create_topics=False, retry_backoff_ms=int(RETRY_SECONDS * 1000))
    return client


def opened(kind: Callable[..., Client], **options: Any) -> Client:
    """A client of kafka-python, as `kind(**options)`, but one that does not come about leaves nothing behind.

    kafka-python 3.0.12 closes nothing where no broker answers: each try would leave a thread that goes on trying, and
    its sockets.
    """
    begun: list[KafkaNetClient] = []
    build = options.get("kafka_client", KafkaNetClient)

    def remembered(**its: object) -> KafkaNetClient:
        begun.append(build(**its))
        return begun[-1]

    try:
        return kind(**{**options, "kafka_client": remembered})
    except BaseException:
        for client in begun:
            client.close()
            client._manager._net.stop()
        raise


class BrokerRefuses(BrokerUnavailable):
    """The broker answers, and does not do it: not allowed, not now, or not the one in charge."""

    error_type = "broker_refuses"


def unavailable(connection: Connection, error: KafkaError) -> BrokerUnavailable:
    """Say which broker did not do what it was asked, and why."""
    if connection.security.protocol != PLAIN_TEXT and not isinstance(error, BrokerResponseError):
        error = _turned_away(connection) or error
    if isinstance(error, BrokerResponseError):
        return BrokerRefuses(f"Kafka at {connection.bootstrap_servers} refuses: {error}")
    return BrokerUnavailable(f"Kafka unreachable at {connection.bootstrap_servers} ({error})")


def _turned_away(connection: Connection) -> KafkaError | None:
    """Why no connection comes about: kafka-python 3.0.12 only logs it, and says that time ran out."""
    net = NetworkSelector()
    manager = KafkaConnectionManager(net, **connection.client_options())

    async def knock() -> None:
        for broker in manager.cluster.bootstrap_brokers():
            await manager.get_connection(broker.node_id, timeout_ms=int(KNOCK_SECONDS * 1000))

    try:
        net.run(knock)
    except KafkaError as reason:
        return SaslAuthenticationFailedError(HUNG_UP) if _hung_up(connection, reason) else reason
    finally:
        manager.close()
        net.close()
    return None


def _hung_up(connection: Connection, reason: KafkaError) -> bool:
    """Whether the broker ended the connection while we said who we are.

    Kafka sends its reason together with the end of the connection, and kafka-python 3.0.12 drops what comes so.
    """
    return connection.security.authenticates and "socket disconnected" in str(reason)


class BrokerAdmin:
    """An admin client that is built when needed, rebuilt after an error, and used by one thread at a time."""

    def __init__(self, connection: Connection, request_seconds: float = REQUEST_SECONDS) -> None:
        self._connection = connection
        self._request_ms = int(request_seconds * 1000)
        self.start_over()
        start_over_in_children(self)

    def start_over(self) -> None:
        """Forget the client (in a forked child)."""
        keep_untouched(getattr(self, "_client", None))
        self._lock = threading.Lock()
        self._client: KafkaAdminClient | None = None

    def ask(self, question: Callable[[KafkaAdminClient], Answer]) -> Answer:
        """Put a question to the broker; takes at most about 4 s.

        A client whose connection died unnoticed is replaced once. Raises BrokerUnavailable, naming the address.
        """
        with self._lock:
            answered = False
            try:
                answer = self._ask_kept_client(question)
                answered = True
            except KafkaError as error:
                raise unavailable(self._connection, error) from error
            finally:
                if not answered:
                    self._drop()
            return answer

    def close(self) -> None:
        """Close the client; the next question opens another."""
        with self._lock:
            self._drop()

    def _ask_kept_client(self, question: Callable[[KafkaAdminClient], Answer]) -> Answer:
        if self._client is not None:
            try:
                return question(self._client)
            except KafkaTimeoutError:
                raise  # it was heard and not answered: a second wait would double the delay
            except KafkaError:
                self._drop()
        options = {**self._connection.client_options(), "request_timeout_ms": self._request_ms}
        self._client = opened(KafkaAdminClient, **options)
        return question(self._client)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def is_embedded(admin: BrokerAdmin) -> bool:
    """Whether the broker that answers is an embedded one, of this home or another. Raises BrokerUnavailable."""
    return str(admin.ask(lambda client: client.describe_cluster()["cluster_id"])).startswith(EMBEDDED_CLUSTER)


def reachable(connection: Connection, timeout: float = 2.0) -> bool:
    """Whether a broker answers a real metadata request within `timeout` seconds; an open port is not enough."""
    milliseconds = int(timeout * 1000)
    options = {"bootstrap_timeout_ms": milliseconds, "request_timeout_ms": milliseconds}
    try:
        client = opened(KafkaAdminClient, **{**connection.client_options(), **options})
    except KafkaError:
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        client.close()


def trouble(connection: Connection) -> str | None:
    """Why the brokers do not answer, in words; None where they do."""
    admin = BrokerAdmin(connection)
    try:
        admin.ask(lambda client: client.describe_cluster())
    except BrokerUnavailable as error:
        return str(error)
    finally:
        admin.close()
    return None
