"""Reader, publisher and topics over TLS and SASL, against a real Kafka that wants both; and who is turned away."""

import logging
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import pytest

from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection, reachable, trouble
from mlpipe_dagster.messaging.group_mirror import mirror
from mlpipe_dagster.messaging.oauth import TokenEndpoint, TokenSource
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.messaging.reader import Cursor, SharedReader
from mlpipe_dagster.messaging.topics import create_topics
from mlpipe_dagster_tests.messaging.conftest import publish
from mlpipe_dagster_tests.messaging.secured import (
    CLIENT_SECRET,
    PASSWORD,
    SecuredKafka,
    TokenServer,
    secured_kafka,
    unsigned_token,
)
from mlpipe_dagster_tests.tools.apache_kafka.certificates import Authority, Identity

WHO = {"SASL_USERNAME": "ada", "SASL_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, jars: None) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer().running() as server:
        yield server


def with_tokens(kafka: SecuredKafka, server: TokenServer, secret: str = CLIENT_SECRET) -> Connection:
    return kafka.over_sasl(
        "OAUTHBEARER",
        SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL=server.url,
        SASL_OAUTHBEARER_CLIENT_ID="mlpipe",
        SASL_OAUTHBEARER_CLIENT_SECRET=secret,
        SASL_OAUTHBEARER_SCOPE="kafka",
    )


def goes_through(connection: Connection) -> None:
    """Every kind of client: admin, producer, consumer, and the mirrored offsets of a group."""
    topic = f"test-{uuid4().hex[:12]}"
    create_topics(connection, [topic])
    publisher, reader = Publisher(connection), SharedReader(connection)
    publish(publisher, topic, "1", "2")
    batch = reader.read(topic, Cursor(), 5)
    assert [record.value for record in batch.records] == [b"1", b"2"]
    while not mirror(connection, f"group-{topic}", topic, batch.cursor.offsets):  # no coordinator yet, just started
        time.sleep(0.1)
    publisher.close()
    reader.close()


def refusal(connection: Connection) -> str:
    """What a person reads when the broker does not let us in; the same for reader and publisher."""
    reader, publisher = SharedReader(connection), Publisher(connection)
    with pytest.raises(BrokerUnavailable) as read:
        reader.read("t", Cursor(), 0.1)
    with pytest.raises(BrokerUnavailable) as published:
        publish(publisher, "t", "1")
    reader.close()
    publisher.close()
    assert str(read.value).split(":")[0] == str(published.value).split(":")[0]
    assert not reachable(connection, timeout=0.5)
    return str(read.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_the_right_password_over_tls(kafka: SecuredKafka, mechanism: str) -> None:
    goes_through(kafka.over_sasl(mechanism, **WHO))
    goes_through(kafka.over_sasl(mechanism, f"localhost:{kafka.sasl.split(':')[1]}", **WHO))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_is_said_and_not_shown(kafka: SecuredKafka, mechanism: str) -> None:
    said = refusal(kafka.over_sasl(mechanism, SASL_USERNAME="ada", SASL_PASSWORD="wrong-horse"))
    assert kafka.sasl in said and "SaslAuthenticationFailed" in said and "wrong-horse" not in said


def test_a_password_does_not_replace_a_certificate(kafka: SecuredKafka) -> None:
    said = trouble(kafka.over_sasl("PLAIN", kafka.mutual_tls, **WHO))
    assert said is not None and "alert bad certificate" in said.lower()


def test_another_authority_is_not_believed(kafka: SecuredKafka) -> None:
    other = Authority(kafka.folder / f"other-{uuid4().hex[:8]}")
    said = refusal(kafka.over_sasl("SCRAM-SHA-512", **WHO, SSL_CAFILE=str(other.file)))
    assert kafka.sasl in said and "certificate verify failed" in said
    said = refusal(kafka.over_sasl("SCRAM-SHA-512", **WHO, SSL_CAFILE=""))
    assert "certificate verify failed" in said


def test_a_certificate_that_does_not_name_the_host_is_not_believed(kafka: SecuredKafka) -> None:
    with a_tls_server(kafka.authority.issue("elsewhere", hosts="DNS:other.example.org")) as address:
        said = trouble(kafka.over_sasl("PLAIN", address, **WHO))
        assert said is not None and "IP address mismatch" in said
        said = trouble(kafka.over_sasl("PLAIN", address, **WHO, SSL_CHECK_HOSTNAME="false"))
        assert said is not None and "mismatch" not in said, "believed, and then found to be no Kafka"


@contextmanager
def a_tls_server(identity: Identity) -> Iterator[str]:
    """Somebody who proves to be `identity` and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.both)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                context.wrap_socket(self.request, server_side=True).close()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_certificates_of_both_sides(kafka: SecuredKafka) -> None:
    own = kafka.authority.issue("mlpipe")
    goes_through(kafka.over_mutual_tls(SSL_CERTFILE=str(own.certificate), SSL_KEYFILE=str(own.key)))
    goes_through(kafka.over_mutual_tls(SSL_CERTFILE=str(own.both)))
    locked = kafka.authority.issue("locked", password=PASSWORD)
    files = {"SSL_CERTFILE": str(locked.certificate), "SSL_KEYFILE": str(locked.key)}
    goes_through(kafka.over_mutual_tls(**files, SSL_PASSWORD=PASSWORD))
    for wrong in ("wrong-horse", ""):
        said = trouble(kafka.over_mutual_tls(**files, SSL_PASSWORD=wrong))
        assert said is not None and "KAFKA_SSL_PASSWORD cannot be used" in said and "wrong-horse" not in said


def test_a_missing_or_foreign_certificate_of_ours_is_said(kafka: SecuredKafka) -> None:
    assert "alert bad certificate" in refusal(kafka.over_mutual_tls()).lower()
    stranger = Authority(kafka.folder / f"strangers-{uuid4().hex[:8]}").issue("mlpipe")
    said = refusal(kafka.over_mutual_tls(SSL_CERTFILE=str(stranger.both)))
    assert "alert certificate unknown" in said


def test_plain_text_to_a_broker_that_wants_tls_gets_no_answer(kafka: SecuredKafka) -> None:
    assert "Kafka unreachable" in refusal(Connection(kafka.sasl))


def test_tokens_of_an_endpoint(kafka: SecuredKafka, tokens: TokenServer) -> None:
    connection = with_tokens(kafka, tokens)
    goes_through(connection)
    goes_through(connection)
    assert tokens.given == 1, "one token serves all clients"
    assert tokens.forms == ["grant_type=client_credentials&scope=kafka"]


def test_a_token_is_renewed_before_it_ends(tokens: TokenServer, kafka: SecuredKafka) -> None:
    tokens.life = 0
    goes_through(with_tokens(kafka, tokens))
    assert tokens.given > 1


def test_tokens_of_a_file(kafka: SecuredKafka) -> None:
    file = kafka.folder / f"token-{uuid4().hex[:8]}"
    file.write_text(unsigned_token())
    connection = kafka.over_sasl("OAUTHBEARER", SASL_OAUTHBEARER_TOKEN_FILE=str(file))
    goes_through(connection)
    file.write_text(unsigned_token(seconds=-60))
    said = refusal(connection)
    assert kafka.sasl in said and file.read_text() not in said


def test_an_endpoint_that_gives_no_token_is_said_and_the_secret_is_not(
    kafka: SecuredKafka, tokens: TokenServer
) -> None:
    said = refusal(with_tokens(kafka, tokens, secret="wrong-staple"))
    assert "token endpoint at 127.0.0.1 answers 401" in said
    assert "staple" not in said
    tokens.content = b"<html>"
    with pytest.raises(Exception, match="without an access token"):
        TokenEndpoint(
            TokenSource("", tokens.url, "mlpipe", with_tokens(kafka, tokens).security.tokens.client_secret)
        ).token()
    gone = TokenServer(port=1)
    assert "does not answer" in refusal(with_tokens(kafka, gone))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"])
def test_no_secret_reaches_a_log(
    kafka: SecuredKafka, tokens: TokenServer, caplog: pytest.LogCaptureFixture, mechanism: str
) -> None:
    connection = with_tokens(kafka, tokens) if mechanism == "OAUTHBEARER" else kafka.over_sasl(mechanism, **WHO)
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "kafka"):
        admin = BrokerAdmin(connection)
        admin.ask(lambda client: client.describe_cluster())
        admin.close()
    assert "Connected" in caplog.text
    token = unsigned_token()[:20]  # the header: the same in every token
    assert [secret for secret in (PASSWORD, CLIENT_SECRET, token) if secret in caplog.text] == []
