"""The application: routers, error answers and guard put together, and what lives as long as the process.

Run it with `uvicorn mlpipe_dagster.api.app:create_app --factory`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from mlpipe_dagster.api import (
    asyncapi,
    bias_reports,
    channels,
    datasets,
    error_answers,
    health,
    inbox,
    inbox_page,
    live,
    login,
    metrics,
    models,
    pages,
    pipelines,
    plots,
    policies,
    predictions,
    receiving,
    rerun_form,
    roles,
    row_explanations,
    transformation_reports,
    upload_page,
    users,
    xai_reports,
)
from mlpipe_dagster.api import audit as audit_routes
from mlpipe_dagster.api.description import describe
from mlpipe_dagster.api.explainer import Explainer
from mlpipe_dagster.api.flusher import Flusher
from mlpipe_dagster.api.gate import Gate, confirm
from mlpipe_dagster.api.guard import Guard
from mlpipe_dagster.api.model_process import warm
from mlpipe_dagster.api.predictor import Predictor
from mlpipe_dagster.channels.courier import Courier
from mlpipe_dagster.exposure import check_exposure
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.log_watch import LogWatch
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.settings import settings
from mlpipe_dagster.tables.inspector import Inspector
from mlpipe_dagster.warehouse import audit
from mlpipe_dagster.warehouse.delivery import deliver_or_leave
from mlpipe_dagster.warehouse.models import any_trained_here
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse

JSON_BYTES = 64 * 1024 * 1024
FORM_BYTES = 4 * 1024 * 1024
"""Room beside the file in an upload form."""

ROUTERS = (
    datasets.router,
    bias_reports.router,
    transformation_reports.router,
    models.router,
    row_explanations.router,
    predictions.router,
    xai_reports.router,
    pipelines.router,
    inbox.router,
    live.router,
    roles.router,
    users.router,
    channels.router,
    policies.router,
    audit_routes.router,
    plots.router,
    health.router,
    metrics.router,
    asyncapi.router,
    pages.router,
    upload_page.router,
    inbox_page.router,
    rerun_form.router,
    login.router,
)


def create_app(inspector: Inspector | None = None) -> FastAPI:
    """The warehouse API; settings are read now, catalogue and objects are opened when it starts.

    An `inspector` that is given stays open when it stops.

    Raises
    ------
    OpenToAll
        It is to listen beyond this machine and asks for no keys.
    """
    check_exposure(settings())
    app = FastAPI(title="mlpipe data warehouse", version="0.1.0", lifespan=_lifespan, dependencies=[Depends(confirm)])
    app.state.inspector = inspector
    app.add_middleware(Gate, owner=app, settings=settings())
    app.add_middleware(Guard, form_bytes=settings().max_upload_bytes + FORM_BYTES, json_bytes=JSON_BYTES)
    metrics.meter(app)
    error_answers.install(app)
    for router in ROUTERS:
        app.include_router(router)
    describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    receiving.remove_abandoned()
    warehouse = await run_in_threadpool(open_warehouse)
    connection = Connection.from_settings()
    publisher, watch = Publisher(connection), LogWatch(connection)
    flusher = Flusher(lambda: _after_commit(warehouse, publisher))
    courier = Courier(warehouse)
    given: Inspector | None = app.state.inspector
    app.state.warehouse, app.state.flusher, app.state.inspector = warehouse, flusher, given or Inspector()
    metrics.watch_platform(app, warehouse, watch)
    app.state.explainer = explainer = Explainer()
    app.state.predictor = predictor = Predictor()
    flusher.start()
    courier.start()
    await run_in_threadpool(_warm_where_models_are, warehouse)
    try:
        yield
    finally:
        watch.close()
        await run_in_threadpool(explainer.close)
        await run_in_threadpool(predictor.close)
        await run_in_threadpool(courier.stop)
        await run_in_threadpool(flusher.stop)
        await run_in_threadpool(publisher.close)
        if given is None:
            await run_in_threadpool(app.state.inspector.close)


def _warm_where_models_are(warehouse: Warehouse) -> None:
    with warehouse.reading() as session:
        if any_trained_here(session):
            warm()


def _after_commit(warehouse: Warehouse, publisher: Publisher) -> None:
    """What need not wait for the sweep once something was stored."""
    deliver_or_leave(warehouse, publisher)
    audit.seal(warehouse.catalogue)
