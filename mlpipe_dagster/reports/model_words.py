"""The paragraphs of the intermediate and expert pages, filled with the numbers of the explanation."""

from collections.abc import Sequence

from markupsafe import Markup

from mlpipe_dagster.reports.model_tables import error_text, percent_span
from mlpipe_dagster.reports.page import outcome
from mlpipe_dagster.reports.texts import quoted, texts
from mlpipe_dagster.reports.wording import number_text, percent_text, signed_text
from mlpipe_dagster.xai.explanation import Counterfactual, ModelExplanation
from mlpipe_dagster.xai.pieces import Agreement, Figure

MOST_KEPT = 10
MOST_UNUSED = 40
Fact = tuple[str, str, str]
_OPTIONAL = ("interactions", "interaction", "weak", "calibration", "thresholds", "surrogate", "rules")


def interval(figure: Figure) -> str:
    """The 95 % interval of a figure in words."""
    if figure.low is None or figure.high is None:
        return texts().plain("facts.no_interval")
    return texts().plain("facts.interval", low=number_text(figure.low), high=number_text(figure.high))


def _interval(figure: Figure, shares: bool) -> str:
    low, high = (error_text(end or 0.0, shares) for end in (figure.low, figure.high))
    return texts().plain("facts.interval", low=low, high=high)


def facts(explanation: ModelExplanation) -> list[Fact]:
    """Title, value and small print of the figures at the top."""
    t = texts()
    tested = t.count("test_rows", explanation.test_rows)
    rows: Fact = (t.plain("facts.test_rows"), number_text(explanation.test_rows, 15), t.plain("facts.elsewhere"))
    if explanation.held_out:
        small = t.plain("facts.and_test", tested=tested)
        rows = (t.plain("facts.rows"), number_text(explanation.trained_rows, 15), small)
    score, baseline = explanation.score, explanation.baseline_score
    name = t.plain("facts.baseline", name=explanation.baseline_algorithm)
    return [
        (t.plain("facts.test_score", name=score.name), number_text(score.value), interval(score)),
        (name, number_text(baseline.value), interval(baseline)),
        (t.plain("facts.model"), explanation.algorithm, t.count("columns", len(explanation.columns))),
        rows,
    ]


def paragraphs(explanation: ModelExplanation) -> dict[str, Markup | list[Markup]]:
    """Sentences by the part of the page they belong to; a part that has nothing to say is empty."""
    return {
        **dict.fromkeys(_OPTIONAL, Markup("")),
        "columns": _columns(explanation),
        "dependence": _dependence(explanation),
        **_interactions(explanation),
        **_errors(explanation),
        **_thresholds(explanation),
        "counterfactuals": [_counterfactual(explanation, found) for found in explanation.counterfactuals],
        "kept": _kept(explanation),
        **_surrogate(explanation),
        "stability": _stability(explanation),
        "unused": _unused(explanation),
        "local": texts()(
            "details.local_text",
            what=texts().plain("details.output_word" if explanation.classes else "details.prediction_word"),
        ),
    }


def _columns(explanation: ModelExplanation) -> list[Markup]:
    t, made = texts(), []
    rows = t.count("test_rows", explanation.method.explained_rows)
    made.append(t("details.columns_text", rows=rows, output=t.output(explanation.method.explained)))
    if len(explanation.classes) > 2 and explanation.described:
        made.append(t("details.columns_classes", name=outcome(explanation.described, explanation.target)))
    if explanation.importance_agreement:
        made.append(_agreeing("details.agreement", explanation.importance_agreement))
    compact = explanation.compactness
    if compact and compact.columns_for_80:
        made.append(
            t(
                "details.compact",
                count=compact.columns_for_80,
                columns=t.count("columns", len(explanation.columns)),
                share=percent_text(compact.rows_told),
                top=compact.top,
            )
        )
    return made


def _agreeing(key: str, agreement: Agreement, **values: str) -> Markup:
    values |= {"shared": str(agreement.shared), "top": str(agreement.top)}
    if agreement.correlation is None:
        return texts()(f"{key}_plain", **values)
    return texts()(key, correlation=number_text(agreement.correlation, 2), **values)


def _dependence(explanation: ModelExplanation) -> Markup:
    key = "what_probability" if explanation.classes else "what_value"
    return texts()("details.dependence_text", what=texts().plain(f"details.{key}"))


def _interactions(explanation: ModelExplanation) -> dict[str, Markup]:
    if not explanation.interactions:
        return {}
    t, pair = texts(), explanation.interactions[0]
    part = next(part for part in explanation.method.parts if part.name == "interactions")
    output = t.output(part.output) if part.output else ""
    text = t("details.interactions_text", output=output, rows=t.count("rows", part.used))
    names = {"first": quoted(pair.first), "second": quoted(pair.second)}
    span = percent_span(pair.share_low, pair.share_high)
    short = t("details.interactions_short", share=percent_text(pair.share), span=span, **names)
    caption = t("details.interaction_chart", output=output, **names)
    if not pair.strength:
        short = t("details.interaction_none")
    return {"interactions": text, "interaction": short, "interaction_caption": caption}


def _errors(explanation: ModelExplanation) -> dict[str, Markup]:
    t, made, weak = texts(), {}, explanation.weak
    classes = bool(explanation.classes)
    if weak:
        made["weak"] = t(
            "details.weak_text",
            learned=t.count("test_rows", weak.learned_rows),
            measured=number_text(weak.measured_rows, 15),
            confidence=percent_text(weak.confidence),
            overall=error_text(weak.overall.value, classes),
            interval=_interval(weak.overall, classes),
        )
    if explanation.calibration:
        what = "what_probability" if classes else "what_value"
        error = number_text(explanation.calibration.error)
        made["calibration_title"] = t("details.calibration", what=t.plain(f"details.{what}"))
        made["calibration"] = t("details.calibration_text", error=error)
        made["calibration_caption"] = t("details.calibration_note", of=quoted(explanation.calibration.of))
        brier = explanation.calibration.brier
        if brier:
            made["calibration"] += " " + t("details.brier", value=number_text(brier.value), interval=interval(brier))
    return made


def _thresholds(explanation: ModelExplanation) -> dict[str, Markup]:
    if explanation.thresholds is None:
        return {}
    name = outcome(explanation.thresholds.positive, explanation.target)
    return {"thresholds": texts()("details.thresholds_text", name=name)}


def _counterfactual(explanation: ModelExplanation, found: Counterfactual) -> Markup:
    t = texts()
    changes = [
        t("details.change", column=quoted(change.column), before=quoted(change.before), after=quoted(change.after))
        for change in found.changes
    ]
    values: dict[str, object] = {"position": number_text(found.position, 15), "changes": t.listed(changes)}
    if found.middle is not None:
        ends = {"before": found.before, "after": found.after, "middle": found.middle}
        return t("details.counterfactual_number", **values, **{key: number_text(end) for key, end in ends.items()})
    before, after = (outcome(said, explanation.target) for said in (found.predicted_before, found.predicted_after))
    chances = {"low": percent_text(found.before), "high": percent_text(found.after)}
    return t("details.counterfactual_class", **values, before=before, after=after, **chances)


def _kept(explanation: ModelExplanation) -> Markup:
    t = texts()
    names = [quoted(name) for name in explanation.kept]
    kept = t("details.kept", columns=_some(names, MOST_KEPT)) if names else t("details.kept_none")
    return t("details.counterfactuals_text", kept=kept)


def _some(names: Sequence[Markup], most: int) -> Markup:
    listed = texts().listed(names[:most])
    if len(names) <= most:
        return listed
    return texts()("details.and_more", columns=listed, count=len(names) - most)


def _surrogate(explanation: ModelExplanation) -> dict[str, Markup]:
    surrogate, t = explanation.surrogate, texts()
    if surrogate is None:
        return {}
    said = t(
        "details.surrogate_text",
        leaves=len(surrogate.rules),
        rows=t.count("test_rows", surrogate.tested_rows),
        value=number_text(surrogate.fidelity.value),
        interval=interval(surrogate.fidelity),
        meaning=t.plain("details.surrogate_agreement" if explanation.classes else "details.surrogate_r2"),
    )
    return {"surrogate": said, "rules": t("details.rules_note", rows=t.count("rows", surrogate.learned_rows))}


def _stability(explanation: ModelExplanation) -> list[Markup]:
    t, stability = texts(), explanation.stability
    if stability is None:
        return []
    made = [
        t(
            "details.stability_resampled",
            top=stability.resampled_top,
            share=percent_text(stability.resampled_same),
            draws=number_text(explanation.method.bootstrap_draws, 15),
        )
    ]
    if stability.refitted is None:
        return [*made, t("details.stability_none")]
    rows = t.count("rows", stability.refitted_rows)
    return [*made, _agreeing("details.stability_refit", stability.refitted, rows=rows)]


def _unused(explanation: ModelExplanation) -> Markup | list[Markup]:
    names = [quoted(name) for name in explanation.unused_columns]
    return texts()("details.unused", columns=_some(names, MOST_UNUSED)) if names else []


def residual_facts(explanation: ModelExplanation) -> list[Fact]:
    """Title, value and small print of the errors of a predicted number."""
    residuals, t = explanation.residuals, texts()
    if residuals is None:
        return []
    guess = t.plain("details.median_guess", value=number_text(residuals.baseline_median_absolute))
    within = t.plain("details.within_of")
    return [
        (t.plain("details.median_error"), number_text(residuals.median_absolute), guess),
        (t.plain("details.percentile"), number_text(residuals.percentile_90), t.plain("details.percentile_of")),
        (t.plain("details.mean_error"), signed_text(residuals.mean), t.plain("details.mean_error_of")),
        (t.plain("details.within"), percent_text(residuals.within_10_percent), within),
    ]
