"""Route of the small plots that the Dagster UI shows beside a materialization.

Who draws and stores them is the assets' business.
"""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from mlpipe_dagster.api.parameters import TheWarehouse
from mlpipe_dagster.events import Id
from mlpipe_dagster.warehouse.objects import plot_name

router = APIRouter(prefix="/plots", tags=["plots"])
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "no-cache",
}


@router.get("/{asset}/{user_id}/{dataset_id}/{version}.svg", response_class=Response)
def read(
    asset: Literal["dataset", "bias_report", "model", "xai_report"],
    user_id: Id,
    dataset_id: Id,
    version: Id,
    warehouse: TheWarehouse,
) -> Response:
    """The plot of a dataset version's asset."""
    with warehouse.objects.open(plot_name(asset, user_id, dataset_id, version)) as content:
        return Response(content.read(), media_type="image/svg+xml", headers=HEADERS)
