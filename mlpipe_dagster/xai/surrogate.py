"""A small tree that imitates the model (dalex's and InterpretML's global surrogate), and how faithfully it does."""

from collections.abc import Sequence

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlpipe_dagster.automl.metrics import Outcome, measure, wilson
from mlpipe_dagster.automl.model import Estimate
from mlpipe_dagster.xai.pieces import Figure, How
from mlpipe_dagster.xai.quality import Rule, Surrogate
from mlpipe_dagster.xai.rules import Coded, coded, leaves, places_of
from mlpipe_dagster.xai.subject import Subject
from mlpipe_dagster.xai.values import Floats, shown

LEAVES = 8
DEPTH = 4
SMALLEST_SHARE = 0.01
FEWEST_ROWS = 20


def surrogate(subject: Subject, columns: Sequence[str]) -> Surrogate | None:
    """The tree, learned from the model's answers on rows it was made from, tested on its answers on test rows."""
    whole = len(subject.learned)
    rows = subject.budget.afford("surrogate", whole, 1, least=FEWEST_ROWS)
    if not rows:
        subject.budget.did("surrogate", "left out")
        return None
    learned = subject.learned[:rows]
    how: How = "exact" if rows == len(subject.training) else "sampled"
    subject.budget.did("surrogate", how, rows, len(subject.training))
    frame = subject.pool.frame
    code, tested = coded(subject, columns, frame.iloc[learned], frame.iloc[: len(subject.tested)])
    taught = _said(subject, subject.pool.ask(subject.answers_of, subject.pool.rows(learned)))
    kind = DecisionTreeClassifier if subject.classes else DecisionTreeRegressor
    tree = kind(
        max_leaf_nodes=LEAVES,
        max_depth=DEPTH,
        min_samples_leaf=max(5, int(SMALLEST_SHARE * rows)),
        random_state=subject.seed,
    ).fit(code.matrix, taught)
    real = _said(subject, subject.predicted[subject.tested])
    imitated = np.asarray(tree.predict(tested.matrix), dtype=np.float64)
    fidelity = _fidelity(subject, real, imitated)
    if fidelity is None:
        return None
    return Surrogate(
        fidelity=Figure(
            name="agreement" if subject.classes else "R²",
            value=fidelity.value,
            low=fidelity.low if np.isfinite(fidelity.low) else None,
            high=fidelity.high if np.isfinite(fidelity.high) else None,
        ),
        learned_rows=rows,
        tested_rows=len(real),
        rules=_rules(subject, tree, code, taught),
    )


def _said(subject: Subject, answers: Floats) -> Floats:
    """Class codes or values."""
    return answers.argmax(axis=1).astype(np.float64) if subject.classes else answers


def _fidelity(subject: Subject, real: Floats, imitated: Floats) -> Estimate | None:
    """Agreement or R²; None for values that do not vary."""
    if subject.classes:
        return wilson(float((real == imitated).mean()), len(real))
    if np.ptp(real) <= 1e-12 * max(1.0, float(np.abs(real).max())):
        return None
    return measure(Outcome(real, imitated), subject.seed, only="R²").get("R²")


def _rules(
    subject: Subject, tree: DecisionTreeClassifier | DecisionTreeRegressor, code: Coded, taught: Floats
) -> tuple[Rule, ...]:
    at = places_of(tree, code)
    made = []
    for leaf in leaves(tree, subject, code):
        inside = taught[at == leaf.number]
        if subject.classes:
            most = int(np.bincount(inside.astype(np.intp)).argmax())
            answer, agreeing = subject.classes[most], float((inside == most).mean())
        else:
            answer, agreeing = shown(float(f"{inside.mean():.4g}")), float(inside.std())
        made.append(Rule(conditions=leaf.conditions, rows=len(inside), answer=answer, agreeing=agreeing))
    return tuple(sorted(made, key=lambda rule: -rule.rows))
