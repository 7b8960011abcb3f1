"""The page of a stored model: its card, and its files to download. What the card says is written in automl/card.py."""

from collections.abc import Sequence

from fastapi.responses import Response
from pydantic import ValidationError

from mlpipe_dagster.api.templating import page
from mlpipe_dagster.automl.artefacts import CARD_FILE
from mlpipe_dagster.automl.fairness.frontier import Frontier
from mlpipe_dagster.reports.frontier import frontier_part
from mlpipe_dagster.warehouse.schema import ModelFileRow, ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

LARGEST_CARD = 1_000_000


def model_page(warehouse: Warehouse, model: ModelRow, files: Sequence[ModelFileRow]) -> Response:
    """The model as a person sees it; one from outside has no card."""
    cards = [file for file in files if model.run_id and file.filename == CARD_FILE]
    text = ""
    if cards:
        with warehouse.objects.open(cards[0].file_path) as content:
            text = content.read(LARGEST_CARD).decode("utf-8", "replace")
    return page("model.html", model=model, files=files, sections=sections_of(text), priced=_priced(model))


def _priced(model: ModelRow) -> dict[str, object]:
    """What its fairness constraint costs; nothing where it has none, or its metadata were changed from outside."""
    stored = (model.custom_metadata or {}).get("frontier")
    if not stored:
        return {}
    try:
        return frontier_part(Frontier.model_validate(stored))
    except ValidationError:
        return {}


def sections_of(card: str) -> list[tuple[str, str]]:
    """Heading and text of each part of a card; the first part stands under the page's own heading."""
    parts = [part.partition("\n") for part in f"\n{card}".split("\n## ")]
    return [
        (heading if number else "", body.partition("\n")[2] if not number else body)
        for number, (heading, _, body) in enumerate(parts)
        if body.strip()
    ]
