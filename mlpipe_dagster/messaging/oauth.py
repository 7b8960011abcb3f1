"""Tokens for SASL/OAUTHBEARER: from an OAuth 2 endpoint (client credentials, RFC 6749 section 4.4) or from a file.

Only fetches and keeps tokens; what they are good for is the broker's to say. No token or secret is ever in an error.
"""

import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from kafka.errors import SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider
from pydantic import SecretStr

from mlpipe_dagster.settings import Settings

REQUEST_SECONDS = 2.0
SHARE_OF_LIFE = 0.8  # a token is renewed while it is still good for a fifth of its time
DEFAULT_LIFE_SECONDS = 300.0


@dataclass(frozen=True)
class TokenSource:
    """Where tokens come from: a file, which somebody else keeps fresh, or an endpoint and our credentials for it."""

    file: str = ""
    endpoint: str = ""
    client_id: str = ""
    client_secret: SecretStr = field(default_factory=lambda: SecretStr(""))
    scope: str = ""

    @classmethod
    def from_settings(cls, values: Settings) -> Self:
        """The source the settings name."""
        return cls(
            file=values.kafka_oauth_token_file,
            endpoint=values.kafka_oauth_token_endpoint,
            client_id=values.kafka_oauth_client_id,
            client_secret=values.kafka_oauth_client_secret,
            scope=values.kafka_oauth_scope,
        )

    def missing(self) -> str:
        """The variables that must be set; empty where the source is complete."""
        endpoint = "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL"
        if self.file:
            return f"either KAFKA_SASL_OAUTHBEARER_TOKEN_FILE or {endpoint}, not both" if self.endpoint else ""
        if not (self.endpoint and self.client_id and self.client_secret.get_secret_value()):
            names = "_CLIENT_ID and KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET, or KAFKA_SASL_OAUTHBEARER_TOKEN_FILE"
            return f"{endpoint}, KAFKA_SASL_OAUTHBEARER{names}"
        parts = urlsplit(self.endpoint)
        if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            return f"an https address in {endpoint}: the client secret would travel unencrypted"
        return ""


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python has no types
    """The content of a file, read at each connection."""

    def __init__(self, source: TokenSource) -> None:
        self._file = Path(source.file)

    def token(self) -> str:
        """The token; raises SaslAuthenticationFailedError where the file does not hold one."""
        try:
            text = self._file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = type(error).__name__  # the text of a decoding error shows the content
            raise SaslAuthenticationFailedError(f"the token file {self._file} cannot be read: {reason}") from None
        if not text:
            raise SaslAuthenticationFailedError(f"the token file {self._file} is empty")
        return text


class TokenEndpoint(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens by client credentials, each used for most of its life; two threads that fetch at once do no harm."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._kept: tuple[str, float] = ("", 0.0)

    def token(self) -> str:
        """A token that is still good; raises SaslAuthenticationFailedError where the endpoint gives none."""
        token, renew_at = self._kept
        if time.monotonic() >= renew_at:
            token, life = self._fetch()
            self._kept = (token, time.monotonic() + SHARE_OF_LIFE * life)
        return token

    def _fetch(self) -> tuple[str, float]:
        import requests  # only those who use OAuth pay for it

        source = self._source
        where = f"the token endpoint at {urlsplit(source.endpoint).hostname}"
        form = {"grant_type": "client_credentials"} | ({"scope": source.scope} if source.scope else {})
        try:
            answer = requests.post(
                source.endpoint,
                data=form,
                auth=(source.client_id, source.client_secret.get_secret_value()),
                timeout=REQUEST_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise SaslAuthenticationFailedError(f"{where} does not answer ({type(error).__name__})") from None
        if answer.status_code != 200:
            raise SaslAuthenticationFailedError(
                f"{where} answers {answer.status_code}: are client id and secret right?"
            )
        try:
            content = answer.json()
            return str(content["access_token"]), float(content.get("expires_in", DEFAULT_LIFE_SECONDS))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SaslAuthenticationFailedError(f"{where} answers without an access token") from None


@lru_cache(maxsize=8)
def token_provider(source: TokenSource) -> AbstractTokenProvider:
    """The provider of a source: one a process, since every client would else fetch tokens of its own."""
    return TokenFile(source) if source.file else TokenEndpoint(source)
