"""`/metrics`: everything a Prometheus server asks of this process, from a registry of its own.

Which numbers there are stands in request_metrics.py and platform_metrics.py.
"""

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest

from mlpipe_dagster.api.platform_metrics import PlatformMetrics
from mlpipe_dagster.api.request_metrics import Metered, RequestMetrics
from mlpipe_dagster.messaging.log_watch import LogWatch
from mlpipe_dagster.warehouse import census
from mlpipe_dagster.warehouse.census import Census
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(tags=["health"])


def meter(app: FastAPI) -> None:
    """Give the application its registry, and have every request counted; before it starts, as the last middleware."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    app.state.metrics = registry
    app.add_middleware(Metered, metrics=RequestMetrics(registry))


def watch_platform(app: FastAPI, warehouse: Warehouse, watch: LogWatch) -> None:
    """Add what catalogue and Kafka say, once they are open."""

    def take() -> Census:
        with warehouse.reading() as session:
            return census.count(session)

    app.state.metrics.register(PlatformMetrics(take, watch.view))


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """The metrics in Prometheus' text form; what is in catalogue and logs is counted every few seconds at most."""
    return Response(generate_latest(request.app.state.metrics), media_type=CONTENT_TYPE_LATEST)
