"""API keys and the browser sessions they open: made, found, revoked. What a role may do is the API's.

A key is `mlp_<id>_<secret>`, its secret 256 random bits. Of secrets only the SHA-256 is stored: a slow, salted hash
protects passwords, which can be guessed; 2^256 random values cannot, and every request would pay for the slowness.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.errors import UnknownThing, UserError
from mlpipe_dagster.events import Id
from mlpipe_dagster.vocabulary import AccessRole
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.outbox import Owner
from mlpipe_dagster.warehouse.schema import ApiKeyRow, LoginSession

PREFIX = "mlp"
SECRET_BYTES = 32
SESSION_TIME = timedelta(hours=12)


@dataclass(frozen=True)
class Bearer:
    """Who a valid key or session speaks for."""

    key_id: str
    user_id: str
    role: AccessRole


def create_key(session: Session, user_id: str, role: AccessRole, name: str | None = None) -> str:
    """A new key, told this once; raises UserError for a user id that is none."""
    try:
        TypeAdapter(Id).validate_python(user_id)
    except ValidationError:
        raise UserError(
            f"“{user_id}” is no user id: letters, digits and ._@+:=- only, a letter or digit first."
        ) from None
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
    session.add(ApiKeyRow(id=key_id, user_id=user_id, role=role.value, name=name, secret_hash=_digest(secret)))
    audit.record(session, "key.created", audit.OPERATOR, Owner(user_id, ""), key=key_id, role=role.value, name=name)
    return f"{PREFIX}_{key_id}_{secret}"


def list_keys(session: Session) -> list[ApiKeyRow]:
    """All keys, oldest first, revoked ones too."""
    return list(session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id)))


def revoke_key(session: Session, key_id: str) -> ApiKeyRow:
    """From now on the key and its sessions open nothing; raises UnknownThing."""
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        raise UnknownThing(f"There is no key {key_id}. `mlpipe keys list` shows the ids.")
    row.revoked_at = row.revoked_at or clock.now()
    session.execute(delete(LoginSession).where(LoginSession.key_id == key_id))
    audit.record(session, "key.revoked", audit.OPERATOR, Owner(row.user_id, ""), key=key_id)
    return row


def bearer_of_key(session: Session, key: str) -> Bearer | None:
    """Who shows this key; None when it is unknown or revoked."""
    prefix, _, rest = key.partition("_")
    key_id, _, secret = rest.partition("_")
    row = session.get(ApiKeyRow, key_id) if prefix == PREFIX else None
    if row is None or not hmac.compare_digest(row.secret_hash, _digest(secret)):
        return None
    return _bearer(row)


def open_session(session: Session, key_id: str) -> str:
    """A token that speaks for the key until it expires, is closed, or the key is revoked."""
    now = clock.now()
    session.execute(delete(LoginSession).where(LoginSession.expires_at < now))
    token = secrets.token_urlsafe(SECRET_BYTES)
    session.add(LoginSession(token_hash=_digest(token), key_id=key_id, expires_at=now + SESSION_TIME))
    return token


def bearer_of_session(session: Session, token: str, now: datetime | None = None) -> Bearer | None:
    """Who the token speaks for; None when it is unknown or expired, or its key revoked."""
    found = session.get(LoginSession, _digest(token))
    if found is None or found.expires_at < (now or clock.now()):
        return None
    row = session.get(ApiKeyRow, found.key_id)
    return _bearer(row) if row else None


def close_session(session: Session, token: str) -> None:
    """The token opens nothing any more."""
    session.execute(delete(LoginSession).where(LoginSession.token_hash == _digest(token)))


def _bearer(row: ApiKeyRow) -> Bearer | None:
    return None if row.revoked_at else Bearer(row.id, row.user_id, AccessRole(row.role))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
