"""Who may use which route: one table, a line for every route. Where keys are asked for, a route without one is refused.

The gate (gate.py) finds the caller and holds each request to this table; a route that alone knows its owner takes
`TheCaller` and asks `caller.check(user_id)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, cast

from fastapi import Depends, Request

from mlpipe_dagster.vocabulary import AccessRole

NOT_YOURS = "This key opens what belongs to its own user only."
USER, SERVICE, ADMIN, AUDITOR = AccessRole.USER, AccessRole.SERVICE, AccessRole.ADMIN, AccessRole.AUDITOR


class Owner(Enum):
    """Where a request says whose things it is about."""

    PATH = "user_id in the path"
    QUERY = "user_id in the query; a user's request without it is about that user's own"
    QUESTION = "question_id in the path: the person the question is put to"
    ROUTE = "known to the route, from the body or the catalogue: it asks the caller itself"
    NOBODY = "no person's things"


@dataclass(frozen=True)
class Need:
    """What a route asks of its caller: roles that may use it for anybody, and whether users may for themselves."""

    roles: frozenset[AccessRole]
    owner: Owner
    users: bool = False
    open: bool = False
    """No key is asked for."""

    def of(self, owner: Owner) -> "Need":
        """The same where the owner stands elsewhere."""
        return replace(self, owner=owner)


def _own(*others: AccessRole) -> Need:
    return Need(frozenset({ADMIN, *others}), Owner.PATH, users=True)


OPEN = Need(frozenset(), Owner.NOBODY, open=True)
KNOWN = Need(frozenset(AccessRole), Owner.NOBODY, users=True)
"""Any valid key; what is answered belongs to nobody."""
OPERATE = Need(frozenset({ADMIN}), Owner.NOBODY)
WATCH = Need(frozenset({ADMIN, AUDITOR, SERVICE}), Owner.NOBODY)
READ, CHANGE = _own(AUDITOR), _own()
WORK_READ = _own(AUDITOR, SERVICE)
"""What foreign workers read, too."""
WORK_STORE = _own(SERVICE)
"""What foreign workers store, too."""

ACCESS: Mapping[str, Need] = {
    "GET /health": OPEN,
    "GET /ready": OPEN,
    "GET /metrics": WATCH,
    "GET /login": OPEN,
    "POST /login": OPEN,
    "POST /logout": OPEN,
    "GET /docs": OPEN,
    "GET /docs/oauth2-redirect": OPEN,
    "GET /redoc": OPEN,
    "GET /asyncapi.json": OPEN,
    "GET /openapi.json": OPEN,
    "POST /datasets/upload": CHANGE.of(Owner.ROUTE),
    "POST /datasets/upload/{user_id}": CHANGE,
    "GET /datasets/search/{user_id}": WORK_READ,
    "GET /datasets/{user_id}": WORK_READ,
    "GET /datasets/{user_id}/{dataset_id}": WORK_READ,
    "PUT /datasets/{user_id}/{dataset_id}": CHANGE,
    "DELETE /datasets/{user_id}/{dataset_id}": CHANGE,
    "GET /datasets/{user_id}/{dataset_id}/versions": WORK_READ,
    "GET /datasets/{user_id}/{dataset_id}/download": WORK_READ,
    "GET /datasets/{user_id}/{dataset_id}/version/{version}": WORK_READ,
    "DELETE /datasets/{user_id}/{dataset_id}/version/{version}": CHANGE,
    "GET /datasets/{user_id}/{dataset_id}/version/{version}/download": WORK_READ,
    "POST /bias-reports/": WORK_STORE.of(Owner.ROUTE),
    "GET /bias-reports/{user_id}/{dataset_id}": READ,
    "DELETE /bias-reports/{user_id}/{dataset_id}": CHANGE,
    "GET /bias-reports/{user_id}/{dataset_id}/view": READ,
    "POST /transformation-reports/": WORK_STORE.of(Owner.ROUTE),
    "GET /transformation-reports/{user_id}/{dataset_id}/{version}": READ,
    "GET /transformation-reports/{user_id}/{dataset_id}/{version}/view": READ,
    "DELETE /transformation-reports/{user_id}/{dataset_id}/{version}": CHANGE,
    "POST /ai-models/upload/single/{user_id}": WORK_STORE,
    "POST /ai-models/upload/folder/{user_id}": WORK_STORE,
    "GET /ai-models/search/{user_id}": WORK_READ,
    "GET /ai-models/{user_id}": WORK_READ,
    "GET /ai-models/{user_id}/{model_id}": WORK_READ,
    "PUT /ai-models/{user_id}/{model_id}": CHANGE,
    "DELETE /ai-models/{user_id}/{model_id}": CHANGE,
    "GET /ai-models/{user_id}/{model_id}/files": WORK_READ,
    "GET /ai-models/{user_id}/{model_id}/download": WORK_READ,
    "POST /ai-models/{user_id}/{model_id}/explain": READ,
    "POST /ai-models/{user_id}/{model_id}/predict": WORK_READ,
    "GET /what-if/{user_id}/{model_id}": READ,
    "POST /what-if/{user_id}/{model_id}": READ,
    "POST /xai-reports/upload/{user_id}": WORK_STORE,
    "GET /xai-reports/{user_id}/{dataset_id}/{model_id}": READ,
    "GET /xai-reports/{user_id}/{dataset_id}/{model_id}/{report_type}/{level}": READ,
    "DELETE /xai-reports/{user_id}/{dataset_id}/{model_id}/{report_type}/{level}": CHANGE,
    "GET /xai-reports/{user_id}/{dataset_id}/{model_id}/{report_type}/{level}/view": READ,
    "GET /plots/{asset}/{user_id}/{dataset_id}/{version}.svg": READ,
    "GET /pipelines": READ.of(Owner.QUERY),
    "GET /pipelines/{dataset_id}": READ.of(Owner.QUERY),
    "POST /pipelines/{dataset_id}/cancel": CHANGE.of(Owner.QUERY),
    "POST /pipelines/{dataset_id}/retry": CHANGE.of(Owner.QUERY),
    "POST /pipelines/{dataset_id}/again": CHANGE.of(Owner.QUERY),
    "POST /pipelines/{dataset_id}/change": CHANGE.of(Owner.QUERY),
    "GET /pipelines/{dataset_id}/history/{entry}": READ.of(Owner.QUERY),
    "GET /questions": READ.of(Owner.QUERY),
    "GET /questions/{question_id}": READ.of(Owner.QUESTION),
    "POST /questions/{question_id}/answer": CHANGE.of(Owner.QUESTION),
    "GET /notifications": READ.of(Owner.QUERY),
    "GET /events/stream": READ.of(Owner.QUERY),
    "POST /users/": CHANGE.of(Owner.ROUTE),
    "GET /users/username/{name}": READ.of(Owner.ROUTE),
    "GET /users/{user_id}": READ,
    "PUT /users/{user_id}": CHANGE,
    "DELETE /users/{user_id}": CHANGE,
    "GET /users/{user_id}/export": CHANGE,
    "GET /users/{user_id}/channels": READ,
    "PUT /users/{user_id}/channels": CHANGE,
    "GET /users/{user_id}/policy": READ,
    "PUT /users/{user_id}/policy": CHANGE,
    "GET /audit": READ.of(Owner.QUERY),
    "GET /audit/export": READ.of(Owner.QUERY),
    "GET /audit/chain": Need(frozenset({ADMIN, AUDITOR}), Owner.NOBODY),
    "GET /roles/{role}": KNOWN,
    "PUT /roles/{role}": OPERATE,
    "GET /static/pages.js": OPEN,
    "GET /": READ.of(Owner.QUERY),
    "GET /upload": KNOWN,
    "POST /upload": CHANGE.of(Owner.ROUTE),
    "GET /inbox": READ.of(Owner.QUERY),
    "POST /inbox/{question_id}": CHANGE.of(Owner.QUESTION),
}


@dataclass(frozen=True)
class Caller:
    """Who asks. `everybodys`: this request may be about anybody's things; else about the caller's own only."""

    user_id: str | None
    role: AccessRole | None
    everybodys: bool

    def check(self, user_id: str) -> None:
        """Raise PermissionError unless this request may be about that person's things."""
        if not self.everybodys and user_id != self.user_id:
            raise PermissionError(NOT_YOURS)

    @property
    def own(self) -> str | None:
        """Whose things alone this request may be about; None: anybody's."""
        return None if self.everybodys else self.user_id


UNASKED = Caller(None, None, everybodys=True)
"""Whoever asks while no keys are asked for."""
NOBODY = Caller(None, None, everybodys=False)


async def _caller(request: Request) -> Caller:
    return cast(Caller, request.state.caller)


TheCaller = Annotated[Caller, Depends(_caller)]
