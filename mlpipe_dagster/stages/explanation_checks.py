"""What deserves a look in an explanation: that it adds up, is told again by other rows, fits, and is not too good."""

from mlpipe_dagster.reports.explanations import MOST_BYTES
from mlpipe_dagster.stages.outcome import Check
from mlpipe_dagster.xai.explanation import ModelExplanation

STABLE_SHARE = 0.6
"""Of the leading columns, at least this share has to lead in the refitted model too."""


def explanation_checks(explanation: ModelExplanation, largest_page: int) -> tuple[Check, ...]:
    """The checks of `xai_report`; `largest_page` in bytes."""
    return _additivity(explanation), _stability(explanation), _size(largest_page), _too_good(explanation)


def _additivity(explanation: ModelExplanation) -> Check:
    gap = f"{explanation.method.additivity_error:.1e}"
    text = (
        f"The influences of the columns add up to the model's own output; the largest gap is {gap}."
        if explanation.additivity_holds
        else "The influences of the columns do not add up to the model's own output (they miss it by up to "
        f"{gap}). Treat the explanation with caution."
    )
    return Check("shap_values_add_up", explanation.additivity_holds, text, severity="error")


def _stability(explanation: ModelExplanation) -> Check:
    found = explanation.stability.refitted if explanation.stability else None
    if found is None:
        return Check("explanation_is_stable", True, "The model was not fitted anew, so this was not checked.")
    passed = found.shared >= STABLE_SHARE * found.top
    text = (
        f"Fitted anew on other rows with another seed, {found.shared} of the {found.top} leading columns are the same."
    )
    advice = (
        "" if passed else " What is said of single columns may not last: look at groups of columns that go together."
    )
    return Check("explanation_is_stable", passed, text + advice)


def _size(largest_page: int) -> Check:
    text = f"The largest page has {largest_page:,} bytes; {MOST_BYTES:,} are the most it may have."
    return Check("pages_are_small", largest_page <= MOST_BYTES, text, severity="error")


def _too_good(explanation: ModelExplanation) -> Check:
    passed = not explanation.suspicions
    text = (
        "The test score is not suspiciously good."
        if passed
        else "The test score is almost perfect. A column may hold the answer in another form: check that first."
    )
    return Check("score_is_plausible", passed, text)
