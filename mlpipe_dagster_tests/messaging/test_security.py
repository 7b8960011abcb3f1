"""The wire's settings: what is refused, what the client is told, and that no secret is ever shown."""

import logging
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError, SaslAuthenticationFailedError
from pydantic import ValidationError

from mlpipe_dagster.errors import BrokerUnavailable, UserError
from mlpipe_dagster.messaging.connection import BrokerAdmin, Connection
from mlpipe_dagster.messaging.oauth import TokenFile, TokenSource
from mlpipe_dagster.messaging.security import split_server
from mlpipe_dagster.settings import Settings
from mlpipe_dagster_tests.brokers import some_port

FAR = "kafka.example.org:9093"
SECRET = "s3cret-never-shown"


def wanted(monkeypatch: pytest.MonkeyPatch, servers: str = FAR, **variables: str) -> Connection:
    """The connection of a process with these variables, each without its KAFKA_."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    for name, value in variables.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    return Connection.from_settings(Settings())


@pytest.mark.parametrize(
    "servers", [FAR, "localhost:9092,10.0.0.7:9092", "[2001:db8::1]:9092", "localhost.example.org:1"]
)
def test_plain_text_to_another_machine_is_refused_unless_it_is_said(
    monkeypatch: pytest.MonkeyPatch, servers: str
) -> None:
    with pytest.raises(UserError, match=r"another machine.*SSL or SASL_SSL, or to PLAINTEXT"):
        wanted(monkeypatch, servers)
    said = wanted(monkeypatch, servers, SECURITY_PROTOCOL="PLAINTEXT")
    assert said.client_options()["security_protocol"] == "PLAINTEXT"


@pytest.mark.parametrize("servers", ["localhost:9092", "127.0.0.1:1,127.8.9.1:2", "[::1]:9092", "LOCALHOST:9092"])
def test_plain_text_to_this_machine_needs_no_word(monkeypatch: pytest.MonkeyPatch, servers: str) -> None:
    assert wanted(monkeypatch, servers).client_options()["security_protocol"] == "PLAINTEXT"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "needs KAFKA_SASL_MECHANISM"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "u"}, "KAFKA_SASL_PASSWORD"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512"}, "KAFKA_SASL_USERNAME"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "OAUTHBEARER"}, "TOKEN_ENDPOINT_URL"),
        ({"SECURITY_PROTOCOL": "SSL", "SASL_MECHANISM": "PLAIN"}, "no effect.*SASL_SSL"),
        ({"SASL_MECHANISM": "PLAIN"}, "no effect.*SASL_SSL"),
        ({"SECURITY_PROTOCOL": "PLAINTEXT", "SSL_CAFILE": "/ca.pem"}, "no effect"),
        ({"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "OAUTHBEARER",
          "SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": "http://login.example.org/token",
          "SASL_OAUTHBEARER_CLIENT_ID": "i", "SASL_OAUTHBEARER_CLIENT_SECRET": SECRET}, "https"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "OAUTHBEARER", "SASL_OAUTHBEARER_TOKEN_FILE": "/t",
          "SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": "https://login.example.org/token"}, "not both"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_together_say_what_to_set(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        wanted(monkeypatch, **variables)
    assert SECRET not in str(refused.value)


def test_unknown_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="SASL_SSL"):
        wanted(monkeypatch, SECURITY_PROTOCOL="TLS")
    with pytest.raises(UserError, match="“kafka” is not host:port"):
        wanted(monkeypatch, "kafka")
    assert split_server("[::1]:9092") == ("::1", 9092)


def test_what_the_client_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = wanted(
        monkeypatch, SECURITY_PROTOCOL="SASL_SSL", SASL_MECHANISM="SCRAM-SHA-512", SASL_USERNAME="ada",
        SASL_PASSWORD=SECRET, SSL_CHECK_HOSTNAME="false",
    )  # fmt: skip
    options = connection.client_options()
    told = {name: value for name, value in options.items() if name.startswith("sasl_")}
    assert told == {
        "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "ada", "sasl_plain_password": SECRET,
    }  # fmt: skip
    context = options["ssl_context"]
    assert (context.check_hostname, context.verify_mode.name) == (False, "CERT_REQUIRED")  # type: ignore[attr-defined]
    assert connection.log_client_options()["security_protocol"] == "SASL_SSL"


def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    connection = wanted(
        monkeypatch, f"127.0.0.1:{some_port()}", SECURITY_PROTOCOL="SASL_PLAINTEXT", SASL_MECHANISM="PLAIN",
        SASL_USERNAME="ada", SASL_PASSWORD=SECRET, SASL_OAUTHBEARER_CLIENT_SECRET=SECRET, SSL_PASSWORD=SECRET,
    )  # fmt: skip
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "kafka"):
        with pytest.raises(KafkaError):
            KafkaAdminClient(**{**connection.client_options(), "bootstrap_timeout_ms": 300})
        with pytest.raises(BrokerUnavailable) as error:
            BrokerAdmin(connection).ask(lambda client: client.describe_cluster())
    assert "Starting KafkaAdminClient with configuration" in caplog.text
    shown = (caplog.text, repr(connection), str(connection), repr(connection.client_options()), repr(error.value))
    assert [text for text in shown if SECRET in text] == []
    assert SECRET not in repr(Settings())


@pytest.mark.parametrize("variable", ["SSL_CAFILE", "SSL_CERTFILE"])
def test_a_file_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    (tmp_path / "broken.pem").write_text("no certificate")
    for name in ("missing.pem", "broken.pem"):
        connection = wanted(
            monkeypatch, SECURITY_PROTOCOL="SSL", SSL_PASSWORD=SECRET, **{variable: str(tmp_path / name)}
        )
        with pytest.raises(BrokerUnavailable, match=f"KAFKA_{variable}=.*{name}") as error:
            BrokerAdmin(connection).ask(lambda client: client.describe_cluster())
        assert SECRET not in str(error.value)


def test_a_token_file_is_read_at_each_connection_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    tokens = TokenFile(TokenSource(file=str(file)))
    with pytest.raises(SaslAuthenticationFailedError, match="cannot be read: FileNotFoundError"):
        tokens.token()
    file.write_text("first\n")
    assert tokens.token() == "first"
    file.write_text("second")
    assert tokens.token() == "second"
    file.write_text(" \n")
    with pytest.raises(SaslAuthenticationFailedError, match="is empty"):
        tokens.token()
    file.write_text(f"ü{SECRET}")
    with pytest.raises(SaslAuthenticationFailedError, match="UnicodeDecodeError") as error:
        tokens.token()
    assert SECRET not in repr(error.value)
