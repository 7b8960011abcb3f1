"""What the page for people without statistics says about a model: few factors in words, one case as a story.

The sentences are in `languages/`; which of them fit this model is decided here.
"""

from collections.abc import Sequence

from markupsafe import Markup

from mlpipe_dagster.reports.glance import classes_named, group_gaps, worse_segment
from mlpipe_dagster.reports.model_tables import error_text, range_text
from mlpipe_dagster.reports.page import outcome
from mlpipe_dagster.reports.texts import quoted, texts
from mlpipe_dagster.reports.wording import number_text
from mlpipe_dagster.xai.explanation import (
    ColumnImportance,
    Counterfactual,
    LocalExplanation,
    ModelExplanation,
    ValueEffect,
)
from mlpipe_dagster.xai.quality import ClassResult

MOST_FACTORS = 5
FEWEST_FACTORS = 3
NOTABLE_SHARE = 0.05
MOST_CLASSES = 6
MOST_PARTS = 3
MOST_KEPT = 3
_GLOSSARY = ("model", "prediction", "row", "test", "influence")
_ORDERED = ("number", "datetime")


def beginner(explanation: ModelExplanation) -> dict[str, object]:
    """What `model_beginner.html` fills in."""
    results = largest_classes(explanation)
    return {
        "classes_named": classes_named(explanation),
        "factors": [(column.name, direction(explanation, column)) for column in factors(explanation)],
        "sure": _sure(explanation),
        "stable": _stable(explanation),
        "worst": _worst(explanation),
        "shown_results": [result for result in results if result.rows],
        "unshown_classes": len(explanation.classes) - len(results),
        "segment": _segment(explanation),
        "gaps": [_gap(gap) for gap in group_gaps(explanation)],
        "story": _story(explanation),
        "words": glossary(*_GLOSSARY, outside=not explanation.held_out),
    }


def glossary(*keys: str, outside: bool = False) -> dict[str, str]:
    """Words and what they mean."""
    t = texts()
    meanings = {t.plain(f"glossary.{key}"): t.plain(f"glossary.{key}_is") for key in keys}
    return meanings | {t.plain("glossary.test"): t.plain("glossary.test_outside_is")} if outside else meanings


def factors(explanation: ModelExplanation) -> Sequence[ColumnImportance]:
    """Three to five columns: the first three that matter at all, and two more with 5 % of the influence each."""
    mattering = [column for column in explanation.columns if column.shap > 0]
    further = [column for column in mattering[FEWEST_FACTORS:MOST_FACTORS] if column.share >= NOTABLE_SHARE]
    return mattering[:FEWEST_FACTORS] + further


def largest_classes(explanation: ModelExplanation, most: int = MOST_CLASSES) -> Sequence[ClassResult]:
    """The classes with the most test rows, in their own order."""
    if explanation.confusion is None:
        return ()
    results = explanation.confusion.results
    kept = sorted(results, key=lambda result: -result.rows)[:most]
    return [result for result in results if result in kept]


def direction(explanation: ModelExplanation, column: ColumnImportance) -> Markup:
    """What a column does, in words."""
    t = texts()
    described = explanation.described
    name = {"name": outcome(described, explanation.target)} if described else {}
    if column.hidden:
        return t("direction.hidden")
    if column.direction == "none":
        return t("direction.none")
    if column.direction in ("raises", "lowers"):
        up = column.direction == "raises"
        if described:
            return t(f"direction.{'higher' if up else 'lower'}_towards", **name)
        return t(f"direction.higher_{'higher' if up else 'lower'}")
    if len(column.effects) > 1 and column.effects[0].effect > 0 > column.effects[-1].effect:
        ends = {"top": _end(column.effects[0]), "bottom": _end(column.effects[-1])}
        ranges = "_ranges" if column.effects[0].span and column.effects[-1].span else ""
        return t(f"direction.ends_{'class' if described else 'number'}{ranges}", **ends, **name)
    return t("direction.turns" if column.kind in _ORDERED else "direction.differs")


def _end(effect: ValueEffect) -> Markup | str:
    return range_text(effect) if effect.span else quoted(effect.value)


def _sure(explanation: ModelExplanation) -> Markup | None:
    """How often the surest predictions come true."""
    if not explanation.classes or explanation.calibration is None:
        return None
    surest, t = explanation.calibration.bins[-1], texts()
    return t(
        "beginner.sure",
        name=outcome(explanation.calibration.of, explanation.target),
        said=t.frequency(surest.predicted),
        seen=t.frequency(surest.observed),
        rows=t.count("rows", surest.rows),
    )


def _stable(explanation: ModelExplanation) -> Markup | None:
    if explanation.stability is None or len(explanation.columns) <= explanation.stability.resampled_top:
        return None
    share, draws = explanation.stability.resampled_same, explanation.method.bootstrap_draws
    return texts()("beginner.stable", draws=number_text(draws, 15), frequency=texts().frequency(share))


def _worst(explanation: ModelExplanation) -> Markup | None:
    """The most wrong row, if it is wrong at all."""
    rows = [row for row in explanation.local if "most wrong" in row.kinds and row.predicted != row.actual]
    if not rows:
        return None
    key = "beginner.worst_class" if explanation.classes else "beginner.worst_number"
    predicted, actual = (_answer(explanation, said) for said in (rows[0].predicted, rows[0].actual))
    return texts()(key, position=number_text(rows[0].position, 15), predicted=predicted, actual=actual)


def _answer(explanation: ModelExplanation, said: str) -> Markup | str:
    return outcome(said, explanation.target) if explanation.classes else number_text(float(said), 6)


def _segment(explanation: ModelExplanation) -> Markup | None:
    segment = worse_segment(explanation)
    if segment is None or explanation.weak is None:
        return None
    t, classes = texts(), bool(explanation.classes)
    values = {"error": segment.error, "overall": explanation.weak.overall.value}
    written = {name: t.frequency(value) if classes else error_text(value, False) for name, value in values.items()}
    key = "beginner.segment_class" if classes else "beginner.segment_number"
    return t(key, conditions=t.conditions(segment.conditions), **written)


def _gap(gap: dict[str, str]) -> Markup:
    best, worst = (outcome(gap[key], gap["column"]) for key in ("best", "worst"))
    values = {key: gap[key] for key in ("best_value", "worst_value")}
    return texts()(f"beginner.{gap['key']}", column=quoted(gap["column"]), best=best, worst=worst, **values)


def _story(explanation: ModelExplanation) -> list[Markup]:
    """One row: the answer, what spoke for and against it, and what would turn it."""
    changes = {change.position: change for change in explanation.counterfactuals}
    rows = [row for row in explanation.local if row.position in changes] or list(explanation.local)
    if not rows or not any(part.shap for part in rows[0].contributions):
        return []
    row = min(rows, key=lambda row: len(changes[row.position].changes) if row.position in changes else 0)
    said = [_says(explanation, row), *_parts(explanation, row)]
    return said + (_turns(explanation, changes[row.position]) if row.position in changes else [])


def _says(explanation: ModelExplanation, row: LocalExplanation) -> Markup:
    position = number_text(row.position, 15)
    return texts()("beginner.story_says", position=position, predicted=_answer(explanation, row.predicted))


def _parts(explanation: ModelExplanation, row: LocalExplanation) -> list[Markup]:
    """The strongest columns on each side, of the answer that was given."""
    t = texts()
    turned = bool(explanation.classes) and row.explained.of != row.predicted
    made = []
    keys = ("story_for", "story_against") if explanation.classes else ("story_up", "story_down")
    for key, up in zip(keys, (not turned, turned), strict=True):
        kept = [part for part in row.contributions if part.shap and (part.shap > 0) == up][:MOST_PARTS]
        told = [t("beginner.story_part", column=quoted(part.column), value=quoted(part.value)) for part in kept]
        if told:
            made.append(t(f"beginner.{key}", parts=t.listed(told)))
    return made


def _turns(explanation: ModelExplanation, found: Counterfactual) -> list[Markup]:
    t = texts()
    changes = [
        t(
            "beginner.change",
            column=quoted(change.column),
            before=quoted(change.before),
            after=quoted(change.after),
        )
        for change in found.changes
    ]
    made = [t("beginner.story_change", changes=t.listed(changes), after=_answer(explanation, found.predicted_after))]
    kept = [quoted(name) for name in explanation.kept[:MOST_KEPT]]
    if kept:
        made.append(t("beginner.story_kept", columns=t.listed(kept)))
    return [*made, t("beginner.story_caution")]
