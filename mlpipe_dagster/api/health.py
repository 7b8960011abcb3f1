"""`/health`: this process lives. `/ready`: catalogue, object store and Kafka were really asked."""

import logging
from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from mlpipe_dagster.api.parameters import TheWarehouse
from mlpipe_dagster.errors import BrokerUnavailable
from mlpipe_dagster.messaging.connection import Connection, reachable

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)
OK = "ok"


@router.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": OK}


@router.get("/ready")
def ready(warehouse: TheWarehouse) -> JSONResponse:
    """200 when everything answers, else 503 with what is wrong."""
    checks = {
        "catalogue": _asked(warehouse.catalogue.check),
        "objects": _asked(warehouse.objects.check),
        "kafka": _asked(_check_kafka),
    }
    wrong = [f"{name}: {said}" for name, said in checks.items() if said != OK]
    if wrong:
        return JSONResponse({"status": "not ready", **checks, "detail": "; ".join(wrong)}, 503)
    return JSONResponse({"status": OK, **checks})


def _check_kafka() -> None:
    connection = Connection.from_settings()
    if not reachable(connection):
        raise BrokerUnavailable(f"no answer at {connection.bootstrap_servers}; events wait in the outbox")


def _asked(check: Callable[[], None]) -> str:
    try:
        check()
    except BrokerUnavailable as error:
        return str(error)
    except Exception as error:  # whatever a database or object store raises is the answer to the question
        log.warning("a readiness check failed", exc_info=error)
        return f"does not answer ({type(error).__name__}; the log of the API has more)"
    return OK
