"""Links that people follow: to our own pages and reports, and to Dagster's pages of a dataset's runs and assets."""

from urllib.parse import quote

from mlpipe_dagster.events import XaiReported
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.vocabulary import Level, ReportType


def _path(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)


def bias_view_link(settings: Settings, user_id: str, dataset_id: str) -> str:
    """The bias report as a page."""
    return f"{settings.api_base}/bias-reports/{_path(user_id, dataset_id)}/view"


def mitigation_link(settings: Settings, user_id: str, dataset_id: str, version: str) -> str:
    """The transformation report of a dataset version as a page."""
    return f"{settings.api_base}/transformation-reports/{_path(user_id, dataset_id, version)}/view"


def xai_view_link(settings: Settings, event: XaiReported) -> str:
    """The explanation that an event announces, as a page."""
    return explanation_link(settings, event.user_id, event.dataset_id, event.model_id, event.report_type, event.level)


def explanation_link(
    settings: Settings, user_id: str, dataset_id: str, model_id: str, report_type: ReportType, level: Level
) -> str:
    """An explanation as a page."""
    return f"{settings.api_base}/xai-reports/{_path(user_id, dataset_id, model_id, report_type, level)}/view"


def what_if_link(settings: Settings, user_id: str, model_id: str) -> str:
    """The page on which a person tries other values."""
    return f"{settings.api_base}/what-if/{_path(user_id, model_id)}"


def model_link(settings: Settings, user_id: str, model_id: str) -> str:
    """A model's metadata."""
    return f"{settings.api_base}/ai-models/{_path(user_id, model_id)}"


def pipeline_link(settings: Settings, partition_key: str, user_id: str) -> str:
    """The page of one dataset's pipeline; with its user it stays right when another user takes the same dataset_id."""
    owner = f"?user_id={quote(user_id, safe='')}"
    return f"{settings.api_base}/pipelines/{_path(partition_key)}{owner}"


def former_link(settings: Settings, partition_key: str, user_id: str, entry: int) -> str:
    """What a pipeline's history keeps of something that was replaced."""
    owner = f"?user_id={quote(user_id, safe='')}"
    return f"{settings.api_base}/pipelines/{_path(partition_key)}/history/{entry}{owner}"


def answer_link(settings: Settings, question_id: str, field: str = "", choice: str = "") -> str:
    """The question in the inbox, with one field of the answer filled in; nothing is sent until a person does."""
    filled = f"&{quote(field, safe='')}={quote(choice, safe='')}" if field else ""
    return f"{settings.api_base}/inbox?question={quote(question_id, safe='')}{filled}"


def plot_link(settings: Settings, asset: str, user_id: str, dataset_id: str, version: str) -> str:
    """The small SVG that the Dagster UI shows with a materialization."""
    return f"{settings.api_base}/plots/{_path(asset, user_id, dataset_id, version)}.svg"


def run_link(settings: Settings, run_id: str) -> str:
    """A run in the Dagster UI."""
    return f"{settings.dagster_base}/runs/{_path(run_id)}"


def asset_partition_link(settings: Settings, asset: str, partition_key: str) -> str:
    """An asset's partition in the Dagster UI; Materialize there has the key chosen already."""
    return f"{settings.dagster_base}/assets/{_path(asset)}?view=partitions&partition={quote(partition_key, safe='')}"


def lineage_link(settings: Settings) -> str:
    """The asset graph in the Dagster UI."""
    return f"{settings.dagster_base}/asset-groups"
