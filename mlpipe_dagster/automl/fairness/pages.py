"""Writes docs/model-fairness.md from the table of measures: `python -m mlpipe_dagster.automl.fairness.pages docs`."""

import math
import sys
from pathlib import Path

from mlpipe_dagster.automl.fairness.calibration import MOST_BINS, ROWS_A_BIN
from mlpipe_dagster.automl.fairness.measures import MEASURES, Kind
from mlpipe_dagster.automl.fairness.overall import MOST_COMPARED, NEIGHBOURS
from mlpipe_dagster.automl.fairness.rates import DRAWS
from mlpipe_dagster.bias.intervals import SEED
from mlpipe_dagster.bias.report import SUPPRESSED_BELOW, TOO_FEW_BELOW
from mlpipe_dagster.vocabulary import TaskKind

_HEAD = f"""# Measures of a model's bias

Generated from `mlpipe_dagster/automl/fairness/measures.py` (`make docs`); a test keeps the two alike. They are taken on
the test split, which no fitting and no choice has seen, and stored with the model (`fairness` in its manifest), in its
card, in its explanation and as the asset check `groups_treated_alike`.

**Who is compared.** `a` is the largest group of the table, `d` each other one. Groups are those of the bias report: a
column's values (20, and all others), or bands of its numbers; rows without a value are the group `(missing)`.

**What rates are about.** Of two classes the last by name; of more, each of the 10 most frequent against the others.
TPR, FPR, FNR: true positive, false positive, false negative rate; PPV: positive predictive value; FN, FP: counts.

**Uncertainty.** Every estimate has a 95% interval by the method named. Bootstraps draw {DRAWS:,} tables of counts, seed
{SEED}. Tests (Fisher's exact or Pearson's chi-squared test of rates, Welch's t-test of means) are corrected together by
Holm's method; measures of the same rates share their test. A difference is called clear where its interval leaves
equality out and the corrected p-value is below 0.05.

**Small groups.** What rests on fewer than {TOO_FEW_BELOW} rows is flagged as too few to say and never called clear; on
fewer than {SUPPRESSED_BELOW}, not shown.

| measure | for | formula | range | alike | above that | interval | source |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
_TAIL = f"""
Of each group its **calibration**: rows by probability in up to {MOST_BINS} bins of as many rows each
({ROWS_A_BIN} or more), mean probability beside the share that came true (Wilson's interval); the **expected
calibration error**, the mean of their distances weighted by rows (Naeini et al. 2015; outcomes resampled within the
bins, the lower end less what chance alone makes); the **calibration slope** b, 1 where probabilities are spread as they
should be, below it where they are too extreme (Cox 1958; Wald's interval). By chance alone small groups have larger
errors than large ones: groups are compared by the slope and the mean, not by the error. Of more than two classes this
is done for each of the 10 most frequent against the others, and for the class that is answered: bins by its
probability, beside the share of answers that are right; their **overconfidence**, mean probability of the answer
\u2212 accuracy, above 0 where the model is surer than it is right (Guo et al. 2017; Student's t interval).

Of all rows together, for two classes: the **generalized entropy index** of the benefit b = predicted \u2212 true + 1:
mean of ((b / mean b)² \u2212 1) / 2, from 0 (Speicher et al. 2018, alpha 2; bootstrap).
For classes: **consistency**, the share of a row's {NEIGHBOURS} nearest other rows that get the same answer, from 0
to 1 (Zemel et al. 2013; Student's t interval), by the columns the model reads without the sensitive ones, on at most
{MOST_COMPARED:,} rows. aif360 counts a row among its own neighbours, so that its consistency is higher.
"""


def measures_page() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(_line(kind) for kind in MEASURES) + _TAIL


def _line(kind: Kind) -> str:
    ends = f"{_end(kind.range[0])} to {_end(kind.range[1])}"
    formula = kind.formula.replace("|", "\\|").replace(" - ", " \u2212 ")
    cells = (kind.name, _tasks(kind), formula, ends, f"{kind.equal:g}", kind.sign, kind.method, kind.source)
    return f"| {' | '.join(cells)} |\n"


def _end(value: float) -> str:
    text = "∞" if math.isinf(value) else f"{abs(value):g}"
    return f"\u2212{text}" if value < 0 else text


def _tasks(kind: Kind) -> str:
    if TaskKind.REGRESSION in kind.tasks:
        return "numbers"
    return "classes" if TaskKind.MULTICLASS in kind.tasks else "two classes"


if __name__ == "__main__":
    (Path(sys.argv[1]) / "model-fairness.md").write_text(measures_page(), encoding="utf-8")
