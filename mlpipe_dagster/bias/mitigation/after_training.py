"""The table before -> mitigation -> after, with what a model then does on rows it has not seen.

No heavy import: who stores a model needs no pandas for it.
"""

from collections.abc import Mapping

from mlpipe_dagster.automl.fairness.report import Disparity, Fairness
from mlpipe_dagster.bias.mitigation.report import Effect, TransformationReport, Value

OF_PREDICTIONS = ("DPPL", "mean prediction difference")
"""The measures of predictions that stand beside the differences of outcomes."""
Known = Mapping[tuple[str, str, str | None], Disparity]


def with_model(report: TransformationReport, fairness: Fairness, model: str) -> TransformationReport:
    """The report with what a model's predictions on unseen rows come to, beside each difference in the table."""
    found = {(one.column, one.group, one.outcome): one for one in fairness.disparities if one.measure in OF_PREDICTIONS}
    lines = tuple(line.model_copy(update={"model": _of_model(line, found)}) for line in report.before_after)
    return report.model_copy(update={"before_after": lines, "model": model})


def _of_model(line: Effect, found: Known) -> Value | None:
    if line.group is None or line.reference is None:
        return None
    there = _value(found, line.column, (line.reference, line.group), line.about, 1)
    back = _value(found, line.column, (line.group, line.reference), line.about, -1)
    return there or back


def _value(found: Known, column: str, pair: tuple[str, str], about: str | None, sign: int) -> Value | None:
    """The model's difference; of a binary target it may be known of the other class, and is turned round."""
    one = found.get((column, pair[1], about))
    if one is None:
        others = [other for key, other in found.items() if key[:2] == (column, pair[1])]
        one, sign = (others[0], -sign) if len(others) == 1 else (None, sign)
    if one is None or one.value is None or one.reference != pair[0]:
        return None
    ends = sorted(sign * end for end in (one.low, one.high) if end is not None)
    low, high = ends if len(ends) == 2 else (None, None)
    return Value(value=sign * one.value, low=low, high=high, method=one.method)
