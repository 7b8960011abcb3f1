"""How the wire to Kafka is protected: what the settings ask for, checked, and as options of the client.

Secrets stay SecretStr until a client takes them, and never reach a log. Tokens come from oauth.py; addresses and
questions to brokers are connection.py's.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Self

from pydantic import SecretStr

from mlpipe_dagster.errors import BrokerUnavailable, UserError
from mlpipe_dagster.messaging.oauth import TokenSource, token_provider
from mlpipe_dagster.settings import Settings

PLAIN_TEXT = "PLAINTEXT"
SECRET_LOGGERS = ("kafka.net.connection", "kafka.protocol.parser")


class BadWireSettings(UserError):  # noqa: N818 - reads as what it says where it is raised
    """The settings of Kafka's security contradict each other or would send data in the clear."""

    error_type = "kafka_security"


class HiddenText(str):
    """Text that a client can send and that no representation of its options shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


@dataclass(frozen=True)
class Security:
    """Protocol, who we are, and which certificates are believed; the default is plain text to anonymous brokers."""

    protocol: str = PLAIN_TEXT
    mechanism: str = ""
    username: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    tokens: TokenSource = field(default_factory=TokenSource)
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    key_password: SecretStr = field(default_factory=lambda: SecretStr(""))
    check_hostname: bool = True

    @classmethod
    def from_settings(cls, values: Settings) -> Self:
        """What the settings ask for, checked. Raises BadWireSettings, saying what to set."""
        wanted = cls(
            protocol=values.kafka_security_protocol or PLAIN_TEXT,
            mechanism=values.kafka_sasl_mechanism,
            username=values.kafka_sasl_username,
            password=values.kafka_sasl_password,
            tokens=TokenSource.from_settings(values),
            ca_file=values.kafka_ssl_cafile,
            certificate_file=values.kafka_ssl_certfile,
            key_file=values.kafka_ssl_keyfile,
            key_password=values.kafka_ssl_password,
            check_hostname=values.kafka_ssl_check_hostname,
        )
        wanted.check()
        if not values.kafka_security_protocol:
            _refuse_silent_plain_text(values.kafka_bootstrap_servers)
        return wanted

    @property
    def encrypted(self) -> bool:
        """Whether the wire is TLS."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def authenticates(self) -> bool:
        """Whether we say by SASL who we are."""
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def check(self) -> None:
        """Raise BadWireSettings where something is missing, or set and would not be used."""
        if self.authenticates:
            if not self.mechanism:
                raise BadWireSettings(f"KAFKA_SECURITY_PROTOCOL={self.protocol} needs KAFKA_SASL_MECHANISM")
            if missing := SASL[self.mechanism].missing(self):
                raise BadWireSettings(f"KAFKA_SASL_MECHANISM={self.mechanism} needs {missing}")
        elif self.mechanism:
            raise BadWireSettings(
                f"KAFKA_SASL_MECHANISM={self.mechanism} has no effect with KAFKA_SECURITY_PROTOCOL={self.protocol}: "
                "set it to SASL_SSL"
            )
        if self.ca_file + self.certificate_file + self.key_file and not self.encrypted:
            raise BadWireSettings(
                f"KAFKA_SSL_ files have no effect with KAFKA_SECURITY_PROTOCOL={self.protocol}: set that to (SASL_)SSL"
            )

    def client_options(self) -> dict[str, object]:
        """Keyword arguments of every kafka-python client. Raises BrokerUnavailable where a file cannot be used."""
        options: dict[str, object] = {"security_protocol": self.protocol}
        if self.encrypted:
            options["ssl_context"] = self.tls_context()
        if self.authenticates:
            _keep_secrets_out_of_logs()
            options |= {"sasl_mechanism": self.mechanism} | SASL[self.mechanism].options(self)
        return options

    def tls_context(self) -> ssl.SSLContext:
        """Certificates that are believed, and our own. Read anew for each client: files are replaced in service."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.check_hostname
        try:
            if self.ca_file:
                context.load_verify_locations(self.ca_file)
            else:
                context.load_default_certs()
        except OSError as error:
            raise BrokerUnavailable(f"KAFKA_SSL_CAFILE={self.ca_file} cannot be used: {error}") from error
        if self.certificate_file:
            self._load_own_certificate(context)
        return context

    def _load_own_certificate(self, context: ssl.SSLContext) -> None:
        password = self.key_password.get_secret_value()  # even empty: else OpenSSL asks at the terminal
        try:
            context.load_cert_chain(self.certificate_file, self.key_file or None, password)
        except OSError as error:
            raise BrokerUnavailable(
                f"KAFKA_SSL_CERTFILE={self.certificate_file} with KAFKA_SSL_KEYFILE={self.key_file} and "
                f"KAFKA_SSL_PASSWORD cannot be used: {error}"
            ) from error


@dataclass(frozen=True)
class _Sasl:
    """One way to say who we are: the variables it lacks (or an empty text), and its options of the client."""

    missing: Callable[[Security], str]
    options: Callable[[Security], dict[str, object]]


def _missing_password(security: Security) -> str:
    given = security.username and security.password.get_secret_value()
    return "" if given else "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"


def _password_options(security: Security) -> dict[str, object]:
    return {
        "sasl_plain_username": security.username,
        "sasl_plain_password": HiddenText(security.password.get_secret_value()),
    }


_PASSWORD = _Sasl(_missing_password, _password_options)
SASL = {
    "PLAIN": _PASSWORD,
    "SCRAM-SHA-256": _PASSWORD,
    "SCRAM-SHA-512": _PASSWORD,
    "OAUTHBEARER": _Sasl(
        lambda security: security.tokens.missing(),
        lambda security: {"sasl_oauth_token_provider": token_provider(security.tokens)},
    ),
}


def split_server(server: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[address]:port`. Raises BadWireSettings for anything else."""
    host, _, port = server.strip().rpartition(":")
    if not host or not port.isdecimal():
        raise BadWireSettings(f"KAFKA_BOOTSTRAP_SERVERS: “{server.strip()}” is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _refuse_silent_plain_text(bootstrap_servers: str) -> None:
    far = [server.strip() for server in bootstrap_servers.split(",") if not _is_this_machine(split_server(server)[0])]
    if far:
        raise BadWireSettings(
            f"Kafka at {', '.join(far)} is another machine, and KAFKA_SECURITY_PROTOCOL is not set: events would "
            "travel unencrypted. Set it to SSL or SASL_SSL, or to PLAINTEXT where that network may be trusted."
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _nothing_below_info(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _keep_secrets_out_of_logs() -> None:
    """kafka-python writes every request to its debug log, those with passwords and tokens too."""
    for name in SECRET_LOGGERS:
        logging.getLogger(name).addFilter(_nothing_below_info)
