"""The pages that explain a model and a table, for three levels of expertise, from the same numbers.

What differs between levels is chosen here and in the templates; nothing is computed but what a reader could work out
from the explanation itself (shares of counts that are in it).
"""

from collections.abc import Mapping

from mlpipe_dagster.errors import TooLarge
from mlpipe_dagster.reports import data_tables, model_charts, model_tables
from mlpipe_dagster.reports.beginner import beginner, factors, glossary
from mlpipe_dagster.reports.frontier import frontier_part
from mlpipe_dagster.reports.glance import glance
from mlpipe_dagster.reports.group_tables import groups
from mlpipe_dagster.reports.method_tables import methods
from mlpipe_dagster.reports.model_words import facts, paragraphs, residual_facts
from mlpipe_dagster.reports.page import render
from mlpipe_dagster.reports.texts import Language
from mlpipe_dagster.reports.wording import written_in
from mlpipe_dagster.vocabulary import Level
from mlpipe_dagster.xai.data_explanation import DataExplanation
from mlpipe_dagster.xai.explanation import ModelExplanation

MOST_BYTES = 3_000_000
_DATA_WORDS = ("row", "missing", "duplicate", "group", "bias")


def render_model_explanation(
    explanation: ModelExplanation,
    level: Level,
    links: Mapping[str, str],
    *,
    language: Language = "en",
    again: str = "",
) -> str:
    """The page about a model at `level`, complete in itself. `links` is described in `page.render`.

    `again` is the command that makes the numbers again, for the expert.

    Raises
    ------
    TooLarge
        The page is larger than 3 MB.
    """
    expert = level is Level.EXPERT
    with written_in(language):
        charts: dict[str, object] = {"shares": model_charts.shares(factors(explanation))}
        context: dict[str, object] = {"glance": glance(explanation)}
        if level is Level.BEGINNER:
            charts["dots"] = model_charts.right_dots(explanation)
            context |= beginner(explanation)
        else:
            charts |= model_charts.details(explanation, expert=expert)
            context |= (
                model_tables.details(explanation)
                | groups(explanation)
                | {"priced": frontier_part(explanation.frontier)}
            )
            context |= {"facts": facts(explanation), "say": paragraphs(explanation)}
            context |= {"residual_facts": residual_facts(explanation)} | (methods(explanation, again) if expert else {})
        page = render("model_explanation.html", e=explanation, level=str(level), links=links, charts=charts, **context)
    return _fitting(page)


def render_data_explanation(
    explanation: DataExplanation, level: Level, links: Mapping[str, str], *, language: Language = "en"
) -> str:
    """The page about a table at `level`, complete in itself. `links` is described in `page.render`.

    Raises
    ------
    TooLarge
        The page is larger than 3 MB.
    """
    with written_in(language):
        page = render(
            "data_explanation.html",
            e=explanation,
            level=str(level),
            links=links,
            words=glossary(*_DATA_WORDS),
            charts=data_tables.charts(explanation),
            **data_tables.tables(explanation, expert=level is Level.EXPERT),
        )
    return _fitting(page)


def _fitting(page: str) -> str:
    size = len(page.encode())
    if size > MOST_BYTES:
        raise TooLarge(f"The page would have {size:,} bytes; {MOST_BYTES:,} are the most a report may have.")
    return page
