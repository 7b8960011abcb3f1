"""The page of a stored model: its card, all that was tried, and its files to download.

What the card says is written in automl/card.py.
"""

from collections.abc import Sequence

from fastapi.responses import Response
from markupsafe import Markup
from pydantic import ValidationError

from mlpipe_dagster.api.templating import page
from mlpipe_dagster.automl.artefacts import CARD_FILE, MANIFEST_FILE, described
from mlpipe_dagster.automl.fairness.frontier import Frontier
from mlpipe_dagster.automl.leaderboard import trial_row
from mlpipe_dagster.automl.plots import score_plot
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.reports.frontier import frontier_part
from mlpipe_dagster.warehouse.schema import ModelFileRow, ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

LARGEST_CARD, LARGEST_MANIFEST = 1_000_000, 50_000_000
LEADING = 10
"""Trials that are shown before the rest is asked for."""


def model_page(warehouse: Warehouse, model: ModelRow, files: Sequence[ModelFileRow]) -> Response:
    """The model as a person sees it; one from outside has no card."""
    own = {file.filename: file for file in files} if model.run_id else {}
    card = _content(warehouse, own.get(CARD_FILE), LARGEST_CARD).decode("utf-8", "replace")
    tried = trials_of(_content(warehouse, own.get(MANIFEST_FILE), LARGEST_MANIFEST))
    return page("model.html", model=model, files=files, sections=sections_of(card), priced=_priced(model), tried=tried)


def _content(warehouse: Warehouse, file: ModelFileRow | None, most: int) -> bytes:
    """Up to so many bytes of a file; none where there is no file."""
    if file is None:
        return b""
    with warehouse.objects.open(file.file_path) as content:
        return content.read(most)


def trials_of(manifest: bytes) -> dict[str, object]:
    """The trials of a training, the leading ones apart, and their scores over time; nothing where its manifest is that
    of another version of mlpipe, or there is none."""
    try:
        model = described(manifest) if manifest else None
    except ModelError:
        return {}
    if model is None or not model.leaderboard:
        return {}
    rows = [_cells(trial_row(trial, model)) for trial in model.leaderboard]
    return {
        "plot": Markup(score_plot(model)),  # noqa: S704 - its texts are escaped where it is drawn
        "head": [(name, not isinstance(value, str)) for name, value in rows[0].items()],
        "leading": [list(row.values()) for row in rows[:LEADING]],
        "rest": [list(row.values()) for row in rows[LEADING:]],
    }


def _cells(row: dict[str, str | float | int]) -> dict[str, str | float | int]:
    """Narrow enough for a page: what is to be said of a trial stands before its settings."""
    number, note, settings = row.pop("trial"), row.pop("note"), row.pop("settings")
    rounded = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in row.items()}
    return {"#": number, **rounded, "settings": f"{note}; {settings}" if note else settings}


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
