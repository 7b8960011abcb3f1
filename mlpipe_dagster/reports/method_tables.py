"""How an explanation was made, for the expert: methods, what was exact or sampled, the model card, and the command."""

from mlpipe_dagster.reports.model_tables import head, parameters
from mlpipe_dagster.reports.texts import Texts, texts
from mlpipe_dagster.reports.wording import number_text
from mlpipe_dagster.xai.explanation import Method, ModelExplanation
from mlpipe_dagster.xai.pieces import Part

MOST_NAMES = 20


def methods(explanation: ModelExplanation, again: str) -> dict[str, object]:
    """The tables of the section on methods; `again` is the command that makes the numbers again."""
    return {
        "method_head": head("what", "how"),
        "method_rows": _methods(explanation),
        "part_head": head("part", "how", "#looked", "output"),
        "part_rows": [_part(part) for part in explanation.method.parts],
        "card_rows": _card(explanation),
        "again": again,
    }


def _part(part: Part) -> tuple[str, ...]:
    t = texts()
    looked = t.plain("hows.used", used=number_text(part.used, 15), of=number_text(part.of, 15)) if part.of else ""
    output = t.output(part.output) if part.output else ""
    return t.plain(f"parts.{part.name}"), t.plain(f"hows.{part.how}"), looked, output


def _methods(explanation: ModelExplanation) -> list[tuple[str, str]]:
    method, t = explanation.method, texts()
    error = {"error": "" if method.sampling_error is None else number_text(method.sampling_error, 2)}
    rows = {"explained": number_text(method.explained_rows, 15), "background": number_text(method.background_rows, 15)}
    made = {
        "shap": t.plain(f"methods.shap_{method.shap}", **error, background=rows["background"]),
        "output": t.output(method.explained),
        "base": ", ".join(number_text(base, 4) for base in method.base),
        "additivity": _additivity(explanation, method, t),
        "rows": t.plain("methods.rows_text", **rows),
        "intervals": t.plain("methods.intervals_text", draws=number_text(method.bootstrap_draws, 15)),
        "shuffling": t.plain(
            "methods.shuffling_text", repeats=method.permutation_repeats, loss=method.permutation_loss
        ),
        "dependence": t.plain("methods.dependence_text"),
        "lime": t.plain(
            "methods.lime_text",
            samples=number_text(method.lime_samples, 15),
            width=number_text(method.lime_kernel_width),
        ),
        "counterfactuals": t.plain("methods.counterfactuals_text"),
        "segments": t.plain("methods.segments_text"),
        "model": t.plain(
            "methods.model_text",
            algorithm=explanation.algorithm,
            parameters=parameters(explanation.parameters) or t.plain("methods.no_parameters"),
        ),
        "seed": str(method.seed),
        "versions": ", ".join(f"{name} {number}" for name, number in method.versions.items()),
        "schema": explanation.schema_version,
    }
    return [(t.plain(f"methods.{key}"), text) for key, text in made.items()]


def _additivity(explanation: ModelExplanation, method: Method, t: Texts) -> str:
    return t.plain(
        "methods.additivity_holds" if explanation.additivity_holds else "methods.additivity_fails",
        error=number_text(method.additivity_error, 2),
        tolerance=number_text(method.additivity_tolerance, 2),
    )


def _card(explanation: ModelExplanation) -> list[tuple[str, str]]:
    """What the model is and is not for (Mitchell et al. 2019), as far as it is known."""
    t = texts()
    names = [column.name for column in explanation.columns]
    listed = ", ".join(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        listed = t.plain("details.and_more", columns=listed, count=len(names) - MOST_NAMES)
    card = {
        "card_predicts": explanation.target,
        "card_algorithm": explanation.algorithm,
        "card_learned": t.count("rows", explanation.trained_rows) if explanation.held_out else "?",
        "card_tested": t.count("test_rows", explanation.test_rows),
        "card_reads": listed,
        "card_sensitive": ", ".join(explanation.kept[:MOST_NAMES]) or "-",
        "card_use": t.plain("details.card_use_text"),
        "card_not": t.plain("details.card_not_text"),
    }
    return [(t.plain(f"details.{key}"), text) for key, text in card.items()]
