"""The words and the picture of one explained row, for the page on which a person tries other values."""

from typing import Any

from markupsafe import Markup

from mlpipe_dagster.reports.model_charts import local_waterfall
from mlpipe_dagster.reports.page import outcome
from mlpipe_dagster.reports.texts import quoted, texts
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.xai.row_answer import RowAnswer


def pictures(answer: RowAnswer) -> dict[str, Any]:
    """The waterfall and the sentence of what would turn the answer."""
    return {"waterfall": local_waterfall(answer.explanation), "turned": _turned(answer), "says": says}


def says(answer: RowAnswer) -> Markup:
    """The prediction with its probability: `“good” (76%)`."""
    if not answer.probabilities:
        return Markup.escape(number_text(float(answer.predicted), 6))
    chance = percent_text(answer.probabilities[answer.predicted])
    return Markup("{} ({})").format(outcome(answer.predicted, answer.target), chance)


def _turned(answer: RowAnswer) -> Markup | None:
    found, t = answer.counterfactual, texts()
    if found is None:
        return None
    changes = [
        t("details.change", column=quoted(change.column), before=quoted(change.before), after=quoted(change.after))
        for change in found.changes
    ]
    after = outcome(found.predicted_after, answer.target) if answer.probabilities else number_text(found.after)
    return t("what_if.turned", changes=t.listed(changes), after=after)
