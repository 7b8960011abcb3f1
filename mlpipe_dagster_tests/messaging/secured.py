"""An Apache Kafka that lets in by TLS and SASL only, what reaches it, and an endpoint that gives tokens for it."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.settings import Settings
from mlpipe_dagster_tests.tools.apache_kafka.certificates import Authority
from mlpipe_dagster_tests.tools.apache_kafka.kafka import Cluster

PASSWORD = "correct-horse"
CLIENT_SECRET = "battery-staple"
LOGIN_MODULES = {
    "plain": f'org.apache.kafka.common.security.plain.PlainLoginModule required user_ada="{PASSWORD}";',
    "scram-sha-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "scram-sha-512": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    # tokens without a signature: Kafka checks their form, their subject and their time
    "oauthbearer": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
    'unsecuredLoginStringClaim_sub="broker";',
}


@dataclass(frozen=True)
class SecuredKafka:
    """Addresses of its two listeners, and the authority and the folder of its certificates."""

    sasl: str
    mutual_tls: str
    authority: Authority
    folder: Path

    def over_sasl(self, mechanism: str, servers: str | None = None, **variables: str) -> Connection:
        """A connection that believes the authority; `variables` are settings without their KAFKA_."""
        known = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": mechanism, "SSL_CAFILE": str(self.authority.file)}
        return connection(servers or self.sasl, **{**known, **variables})

    def over_mutual_tls(self, **variables: str) -> Connection:
        """A connection to the listener that wants a certificate of the client."""
        known = {"SECURITY_PROTOCOL": "SSL", "SSL_CAFILE": str(self.authority.file)}
        return connection(self.mutual_tls, **{**known, **variables})


def connection(servers: str, **variables: str) -> Connection:
    """The connection of these settings."""
    named = {f"KAFKA_{name}": value for name, value in variables.items()}
    return Connection.from_settings(Settings.model_validate({"KAFKA_BOOTSTRAP_SERVERS": servers, **named}))


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """The broker: listener SASL (TLS and four mechanisms), listener MUTUAL (TLS, certificates of both sides)."""
    authority = Authority(folder / "certificates")
    server = authority.issue("broker", hosts="DNS:localhost,IP:127.0.0.1")
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
    } | {f"listener.name.sasl.{mechanism}.sasl.jaas.config": line for mechanism, line in LOGIN_MODULES.items()}
    users = [f"--add-scram=SCRAM-SHA-{size}=[name=ada,password={PASSWORD}]" for size in (256, 512)]
    listeners = {"SASL": "SASL_SSL", "MUTUAL": "SSL"}
    with Cluster(folder / "kafka", 1, listeners, properties, users) as cluster:
        addresses = cluster.nodes[0].addresses
        yield SecuredKafka(addresses["SASL"], addresses["MUTUAL"], authority, folder)


def unsigned_token(seconds: float = 300, subject: str = "ada") -> str:
    """A JSON Web Token without a signature (RFC 7519, section 6)."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + seconds})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@dataclass
class TokenServer:
    """An OAuth 2 endpoint on loopback for one client; counts the tokens it gave. `life` is what it says of them."""

    life: float = 300
    given: int = 0
    content: bytes | None = None
    forms: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    @contextmanager
    def running(self) -> Iterator["TokenServer"]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.forms.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                expected = base64.b64encode(f"mlpipe:{CLIENT_SECRET}".encode()).decode()
                allowed = self.headers["Authorization"] == f"Basic {expected}"
                self.send_response(200 if allowed else 401)
                self.end_headers()
                self.wfile.write(owner.answer() if allowed else f'{{"error": "{CLIENT_SECRET}"}}'.encode())

            def log_message(self, *_arguments: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self) -> bytes:
        """A new token, or what the test wants to be answered instead."""
        self.given += 1
        token = {"access_token": unsigned_token(), "token_type": "Bearer", "expires_in": self.life}
        return json.dumps(token).encode() if self.content is None else self.content
