"""Single rows explained by SHAP and LIME: a typical, a borderline and the most wrong one; and one change that counts.

Which rows are shown and what a change to them does; wording is left to the pages.
"""

from collections.abc import Sequence

import numpy as np

from mlpipe_dagster.xai.attribution import Attribution
from mlpipe_dagster.xai.dependence import grid_positions
from mlpipe_dagster.xai.explanation import Contribution, Counterfactual, LocalExplanation, RowKind
from mlpipe_dagster.xai.lime import LocalSurrogate, explain_row
from mlpipe_dagster.xai.subject import Subject, answers
from mlpipe_dagster.xai.values import Floats, in_numbers, shown

MOST_CONTRIBUTIONS = 8
COUNTERFACTUAL_COLUMNS = 6


def local_explanations(subject: Subject, attribution: Attribution) -> tuple[LocalExplanation, ...]:
    """The chosen rows, each once, with every reason it was chosen for."""
    places = {int(position): at for at, position in enumerate(attribution.rows.index)}
    inside = np.array([at for at, position in enumerate(subject.test.index) if int(position) in places], dtype=np.intp)
    chosen: dict[int, list[RowKind]] = {}
    for kind, at in _choices(subject, inside).items():
        chosen.setdefault(at, []).append(kind)
    return tuple(
        _explained(subject, attribution, at, places[int(subject.test.index[at])], kinds) for at, kinds in chosen.items()
    )


def _choices(subject: Subject, inside: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> dict[RowKind, int]:
    """Positions within the test rows. Numbers have no borderline row."""
    losses = subject.row_losses()[inside]
    middle = np.argsort(np.abs(losses - np.median(losses)), kind="stable")
    chosen: dict[RowKind, int] = {"typical": int(inside[middle[0]])}
    if subject.classes:
        ranked = np.sort(subject.predicted[inside], axis=1)
        chosen["borderline"] = int(inside[np.argmin(ranked[:, -1] - ranked[:, -2])])
    chosen["most wrong"] = int(inside[np.argmax(losses)])
    return chosen


def _explained(
    subject: Subject, attribution: Attribution, at: int, place: int, kinds: Sequence[RowKind]
) -> LocalExplanation:
    row = subject.test.iloc[[at]]
    output = _explained_output(subject, attribution, at)
    values = attribution.values[place, :, output]
    lime = _lime(subject, attribution, at, output)
    order = np.argsort(-np.abs(values), kind="stable")
    kept = order[:MOST_CONTRIBUTIONS]
    return LocalExplanation(
        kinds=tuple(kinds),
        position=int(subject.test.index[at]) + 1,
        predicted=_prediction(subject, at),
        actual=subject.classes[int(subject.truth[at])] if subject.classes else shown(float(subject.truth[at])),
        probability=float(subject.predicted[at].max()) if subject.classes else None,
        output_name=output_name(subject, attribution, output),
        base=float(attribution.base[output]),
        output=float(attribution.output[place, output]),
        contributions=tuple(
            Contribution(
                column=attribution.columns[column],
                value=subject.value_shown(attribution.columns[column], row[attribution.columns[column]].iloc[0]),
                shap=float(values[column]),
                lime=lime.contributions[attribution.columns[column]],
            )
            for column in kept
        ),
        rest=float(values[order[MOST_CONTRIBUTIONS:]].sum()),
        lime_fidelity=lime.fidelity,
    )


def _lime(subject: Subject, attribution: Attribution, at: int, output: int) -> LocalSurrogate:
    return explain_row(
        lambda rows: attribution.model_output(rows)[:, output],
        subject.test.iloc[[at]],
        subject.background,
        {name: subject.kinds[name] for name in attribution.columns},
        seed=subject.seed,
    )


def _explained_output(subject: Subject, attribution: Attribution, at: int) -> int:
    """With three or more classes the predicted one's output; else the only one."""
    return int(subject.choice[at]) if attribution.values.shape[2] > 1 else 0


def output_name(subject: Subject, attribution: Attribution, output: int) -> str:
    """What the SHAP values of that output add up to."""
    if not subject.classes:
        return f"predicted {subject.model.spec.target}"
    of = subject.classes[-1] if attribution.values.shape[2] == 1 else subject.classes[output]
    return f"{attribution.scale} of “{of}”"


def _prediction(subject: Subject, at: int) -> str:
    if subject.classes:
        return subject.classes[int(subject.choice[at])]
    return shown(float(subject.predicted[at]))


def counterfactual(
    subject: Subject, local: Sequence[LocalExplanation], columns: Sequence[str]
) -> Counterfactual | None:
    """The first single change of one of the leading columns that turns the predicted class of a shown row.

    Personal and sensitive columns are left out: nobody should be told to change those.
    """
    kept_back = subject.hidden | set(subject.model.spec.sensitive)
    changeable = [name for name in columns if name not in kept_back][:COUNTERFACTUAL_COLUMNS]
    for row in local if subject.classes else ():
        for name in changeable:
            found = _turned(subject, row.position - 1, name, row.predicted)
            if found is not None:
                return found
    return None


def _turned(subject: Subject, position: int, name: str, predicted: str) -> Counterfactual | None:
    """The nearest tried value of `name` (numbers), or the first (others), that turns the prediction of a row."""
    column, row = subject.training[name], subject.test.loc[[position]]
    kind = subject.kinds[name]
    numbers = in_numbers(column, kind)
    grid = grid_positions(column, numbers)
    own = in_numbers(row[name], kind)
    if not grid or (own is not None and not np.isfinite(own[0])):
        return None
    if numbers is not None and own is not None:
        grid = sorted(grid, key=lambda at: float(abs(numbers[at] - own[0])))
    tried = row.take(np.zeros(len(grid), dtype=np.intp)).reset_index(drop=True)
    tried[name] = column.iloc[grid].reset_index(drop=True)
    codes = _codes(answers(subject.model, tried))
    for index, code in enumerate(codes):
        if subject.classes[code] != predicted:
            return Counterfactual(
                position=position + 1,
                column=name,
                before=shown(row[name].iloc[0]),
                after=shown(tried[name].iloc[index]),
                predicted_before=predicted,
                predicted_after=subject.classes[code],
            )
    return None


def _codes(probabilities: Floats) -> list[int]:
    return [int(code) for code in probabilities.argmax(axis=1)]
