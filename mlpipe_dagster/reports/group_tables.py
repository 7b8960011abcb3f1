"""How groups of people fare, as tables of the model pages: results by group, and differences from the largest group."""

from collections.abc import Iterator, Sequence

from mlpipe_dagster.automl.fairness.report import CALIBRATIONS, Disparity, Figures
from mlpipe_dagster.bias.report import SUPPRESSED_BELOW
from mlpipe_dagster.reports.model_tables import MOST_COLUMNS, Head, Rows, cut, head, span
from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.reports.wording import number_text
from mlpipe_dagster.xai.explanation import ModelExplanation

MOST_DISPARITIES = 200
SMALLEST_P = 0.001


def groups(explanation: ModelExplanation) -> dict[str, object]:
    """Tables by sensitive column; clear differences between groups, the surest first; and all of them, for experts."""
    t = texts()
    compared = [one for one in explanation.disparities if one.value is not None]
    clear = sorted((one for one in compared if one.clear), key=lambda one: one.p_adjusted or 0.0)
    count = number_text(len([one for one in compared if not one.too_few]), 15)
    said = t("details.disparities_clear" if clear else "details.disparities_none", count=count)
    return {
        "group_tables": list(_groups(explanation)),
        "group_note": t("details.overconfidence_note" if _several(explanation) else "details.group_note"),
        "class_tables": list(_by_class(explanation)),
        "reliability_note": t(
            "details.class_reliability_note" if _several(explanation) else "details.group_reliability_note"
        ),
        "reliability_head": head("group", "#predicted_mean", "#observed", "#interval", "#rows"),
        "reliability_tables": list(_reliability(explanation)),
        "disparity_head": head(
            "column", "group", "reference", "measure", "#value", "#interval", "#equal", "#p_adjusted"
        ),
        "disparities": said if compared else "",
        "clear_rows": [_disparity(one) for one in clear[:MOST_COLUMNS]],
        "clear_note": cut(len(clear), MOST_COLUMNS),
        "disparity_rows": [_disparity(one) for one in compared[:MOST_DISPARITIES]],
        "disparity_note": cut(len(compared), MOST_DISPARITIES),
    }


def _groups(explanation: ModelExplanation) -> Iterator[tuple[str, Head, Rows]]:
    t = texts()
    for column in dict.fromkeys(group.column for group in explanation.groups):
        groups = [group for group in explanation.groups if group.column == column]
        rows = [
            (
                f"{group.group} *" if group.small else group.group,
                number_text(group.rows, 15) if group.rows else t.plain("cells.fewer", most=SUPPRESSED_BELOW),
                *_values(group, _measures(groups)),
            )
            for group in groups
        ]
        yield column, (*head("group", "#test_rows"), *_named(_measures(groups))), rows


def _several(explanation: ModelExplanation) -> bool:
    return any(group.classes for group in explanation.groups)


def _by_class(explanation: ModelExplanation) -> Iterator[tuple[str, Head, Rows, str]]:
    """By sensitive column: each group's rates for one class after the other, and how these are calibrated."""
    t = texts()
    for column in dict.fromkeys(group.column for group in explanation.groups if group.classes):
        found = [(group, one) for group in explanation.groups if group.column == column for one in group.classes]
        known = _measures([one for _, one in found])
        for key, measures in (
            ("details.group_classes", [name for name in known if name not in CALIBRATIONS]),
            ("details.class_calibration", [name for name in known if name in CALIBRATIONS]),
        ):
            rows = [
                (f"{group.group} *" if group.small else group.group, one.outcome, *_values(one, measures))
                for group, one in found[:MOST_DISPARITIES]
                if measures
            ]
            titles = (*head("group", "class"), *_named(measures))
            yield t.plain(key, column=t.plain("quoted", name=column)), titles, rows, cut(len(found), MOST_DISPARITIES)


def _measures(figures: Sequence[Figures]) -> list[str]:
    return list(dict.fromkeys(name for one in figures for name in one.values))


def _named(measures: Sequence[str]) -> Head:
    return tuple((texts().sentences.get(f"group_values.{name}", name), True) for name in measures)


def _values(figures: Figures, measures: Sequence[str]) -> Iterator[str]:
    """The values, each with its interval below."""
    t = texts()
    for name in measures:
        value, ends = figures.values.get(name), figures.intervals.get(name)
        if value is None:
            yield t.plain("cells.hidden")
        else:
            yield f"{number_text(value)}\n({span(*ends)})" if ends else number_text(value)


def _reliability(explanation: ModelExplanation) -> Iterator[tuple[str, Rows]]:
    """By sensitive column: of each group and bin the mean probability and the share that came true."""
    for column in dict.fromkeys(group.column for group in explanation.groups if group.reliability):
        yield (
            column,
            [
                (
                    group.group,
                    number_text(held.predicted),
                    number_text(held.observed),
                    span(held.low, held.high),
                    number_text(held.rows, 15),
                )
                for group in explanation.groups
                if group.column == column
                for held in group.reliability
            ],
        )


def _disparity(one: Disparity) -> tuple[str, ...]:
    t, smallest = texts(), number_text(SMALLEST_P)
    known = one.low is not None and one.high is not None
    of = {"measure": one.measure, "outcome": one.outcome}
    return (
        one.column,
        f"{one.group} *" if one.too_few else one.group,
        one.reference,
        one.measure if one.outcome is None else t.plain("cells.measure_of", **of),
        number_text(one.value or 0.0),
        span(one.low, one.high) if known else one.note,
        number_text(one.equal),
        ""
        if one.p_adjusted is None
        else f"< {smallest}"
        if one.p_adjusted < SMALLEST_P
        else number_text(one.p_adjusted, 2),
    )
