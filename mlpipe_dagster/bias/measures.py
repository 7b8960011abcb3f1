"""The measures, one row of a table each: what it is called, for which tasks, its formula, sign, range and source.

`docs/bias-measures.md` is written from this table. The functions stand in `estimates.py`; `compare.py` chooses what is
compared.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mlpipe_dagster.bias import estimates
from mlpipe_dagster.bias.estimates import divergence
from mlpipe_dagster.bias.pairs import Estimate, Pair
from mlpipe_dagster.vocabulary import TaskKind

CLASSES = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})
NUMBERS = frozenset({TaskKind.REGRESSION})
ALL = CLASSES | NUMBERS
About = Literal["sizes", "class", "distribution", "mean", "gaps"]
"""What a measure looks at: group sizes, one class of the target, its distribution, its mean, missing values."""

CLARIFY = "SageMaker Clarify (Hardt et al. 2021, KDD)"


@dataclass(frozen=True)
class Definition:
    """What a measure is called and means; a row of the table in `docs/bias-measures.md`."""

    name: str
    title: str
    tasks: frozenset[TaskKind]
    about: About
    formula: str
    sign: str
    """What a value above the equal one says, and one below."""
    lowest: float
    highest: float
    equal: float
    """Its value when both sides are alike."""
    meaning: str
    reference: str


@dataclass(frozen=True)
class MeasureKind(Definition):
    """A measure of a pair of groups. `estimate` takes a pair and the position of a class, which most ignore."""

    estimate: Callable[[Pair, int], Estimate]
    conditional: bool = False
    """Whether it needs a conditioning column."""


MEASURES: tuple[MeasureKind, ...] = (
    MeasureKind(
        name="CI",
        title="Class imbalance",
        tasks=ALL,
        about="sizes",
        formula="(n_a \u2212 n_d) / (n_a + n_d)",
        sign="Positive: the other side has more rows.",
        lowest=-1.0,
        highest=1.0,
        equal=0.0,
        meaning="How much larger the other side is: 0 for equal sizes, near 1 where this group is hardly there.",
        reference=CLARIFY,
        estimate=estimates.class_imbalance,
    ),
    MeasureKind(
        name="DPL",
        title="Difference in proportions of labels",
        tasks=CLASSES,
        about="class",
        formula="q_a \u2212 q_d",
        sign="Positive: the other side has the outcome more often. Minus the statistical parity difference of AIF360.",
        lowest=-1.0,
        highest=1.0,
        equal=0.0,
        meaning="How much more often the other side has the outcome: 0.1 means 10 more of 100.",
        reference=f"{CLARIFY}; Calders and Verwer 2010, Data Mining and Knowledge Discovery 21:277",
        estimate=estimates.difference_in_proportions,
    ),
    MeasureKind(
        name="DI",
        title="Disparate impact (ratio of rates)",
        tasks=CLASSES,
        about="class",
        formula="q_d / q_a",
        sign="Below 1: the group has the outcome less often.",
        lowest=0.0,
        highest=math.inf,
        equal=1.0,
        meaning="The group's rate as a part of the other side's rate; the four-fifths rule looks for values below 0.8.",
        reference="EEOC Uniform Guidelines 1978, 29 CFR 1607.4 D; Feldman et al. 2015, KDD",
        estimate=estimates.ratio_of_rates,
    ),
    MeasureKind(
        name="DD",
        title="Demographic disparity of labels",
        tasks=CLASSES,
        about="class",
        formula="n_d(without) / n(without) \u2212 n_d(with) / n(with)",
        sign="Positive: the group is a larger part of the rows without the outcome than of those with it.",
        lowest=-1.0,
        highest=1.0,
        equal=0.0,
        meaning="Whether the group is over-represented among those who do not have the outcome; n counts both sides.",
        reference=f"{CLARIFY}; Wachter, Mittelstadt and Russell 2021, Computer Law & Security Review 41:105567",
        estimate=estimates.demographic_disparity,
    ),
    MeasureKind(
        name="CDDL",
        title="Conditional demographic disparity of labels",
        tasks=CLASSES,
        about="class",
        formula="\u03a3_i n_i DD_i / \u03a3_i n_i, i = values of the conditioning column",
        sign="Positive: the group is a larger part of the rows without the outcome among rows that are alike in the "
        "conditioning column.",
        lowest=-1.0,
        highest=1.0,
        equal=0.0,
        meaning="What is left of DD among rows alike in the conditioning column: near 0 where that column accounts for "
        "the difference (Simpson's paradox), which does not say that the difference is fair.",
        reference=f"{CLARIFY}; Wachter, Mittelstadt and Russell 2021, Computer Law & Security Review 41:105567",
        estimate=estimates.conditional_disparity,
        conditional=True,
    ),
    MeasureKind(
        name="KL",
        title="Kullback\u2013Leibler divergence",
        tasks=CLASSES,
        about="distribution",
        formula="\u03a3 P_a ln(P_a / P_d)",
        sign="Never negative; larger is more different, and the two sides are not interchangeable.",
        lowest=0.0,
        highest=math.inf,
        equal=0.0,
        meaning="How surprising the other side's outcomes are to one who knows only this group; 0 for none.",
        reference=f"Kullback and Leibler 1951, Annals of Mathematical Statistics 22:79; {CLARIFY}",
        estimate=divergence(estimates.kullback_leibler, math.inf, root=True),
    ),
    MeasureKind(
        name="JS",
        title="Jensen\u2013Shannon divergence",
        tasks=CLASSES,
        about="distribution",
        formula="\u00bd KL(P_a, M) + \u00bd KL(P_d, M), M = \u00bd (P_a + P_d)",
        sign="Never negative; larger is more different.",
        lowest=0.0,
        highest=math.log(2),
        equal=0.0,
        meaning="How different the distributions of outcomes are: 0 for alike, 0.69 for nothing in common.",
        reference="Lin 1991, IEEE Transactions on Information Theory 37:145 (with M weighted by halves, as in Clarify)",
        estimate=divergence(estimates.jensen_shannon, math.log(2), root=True),
    ),
    MeasureKind(
        name="L2",
        title="L\u2082 norm of the difference (Lp with p = 2)",
        tasks=CLASSES,
        about="distribution",
        formula="\u221a \u03a3 (P_a \u2212 P_d)\u00b2",
        sign="Never negative; larger is more different.",
        lowest=0.0,
        highest=math.sqrt(2),
        equal=0.0,
        meaning="The straight-line distance of the distributions of outcomes; one large difference counts more than "
        "several small ones.",
        reference=CLARIFY,
        estimate=divergence(estimates.euclidean, math.sqrt(2)),
    ),
    MeasureKind(
        name="TVD",
        title="Total variation distance",
        tasks=CLASSES,
        about="distribution",
        formula="\u00bd \u03a3 |P_a \u2212 P_d|",
        sign="Never negative; larger is more different.",
        lowest=0.0,
        highest=1.0,
        equal=0.0,
        meaning="The share of rows whose outcome would have to change for both sides to be alike.",
        reference=f"{CLARIFY}; Levin, Peres and Wilmer 2009, Markov Chains and Mixing Times, 4.1",
        estimate=divergence(estimates.total_variation, 1.0),
    ),
    MeasureKind(
        name="KS",
        title="Kolmogorov\u2013Smirnov distance (largest difference of a class)",
        tasks=CLASSES,
        about="distribution",
        formula="max |P_a \u2212 P_d|",
        sign="Never negative; larger is more different.",
        lowest=0.0,
        highest=1.0,
        equal=0.0,
        meaning="The difference in the class where both sides differ most.",
        reference=CLARIFY,
        estimate=divergence(estimates.largest_class_difference, 1.0),
    ),
    MeasureKind(
        name="mean difference",
        title="Difference of the means",
        tasks=NUMBERS,
        about="mean",
        formula="mean_a \u2212 mean_d",
        sign="Positive: the other side's mean is higher.",
        lowest=-math.inf,
        highest=math.inf,
        equal=0.0,
        meaning="How much higher the other side's mean is, in the unit of the target.",
        reference="Welch 1947, Biometrika 34:28 (interval); Calders et al. 2013, ICDM",
        estimate=estimates.mean_difference,
    ),
    MeasureKind(
        name="standardized difference",
        title="Standardized mean difference (Cohen's d)",
        tasks=NUMBERS,
        about="mean",
        formula="(mean_a \u2212 mean_d) / pooled standard deviation",
        sign="Positive: the other side's mean is higher.",
        lowest=-math.inf,
        highest=math.inf,
        equal=0.0,
        meaning="The difference of the means in standard deviations: 0.2 is called small, 0.5 medium, 0.8 large.",
        reference="Cohen 1988, Statistical Power Analysis, 2.2; Hedges and Olkin 1985 (interval)",
        estimate=estimates.standardized_difference,
    ),
    MeasureKind(
        name="KS",
        title="Kolmogorov\u2013Smirnov distance",
        tasks=NUMBERS,
        about="distribution",
        formula="max |F_a \u2212 F_d|",
        sign="Never negative; larger is more different.",
        lowest=0.0,
        highest=1.0,
        equal=0.0,
        meaning="The largest difference of the shares of rows below some value.",
        reference="Smirnov 1948, Annals of Mathematical Statistics 19:279",
        estimate=divergence(estimates.kolmogorov_smirnov, 1.0),
    ),
    MeasureKind(
        name="Wasserstein",
        title="Wasserstein distance (earth mover's distance)",
        tasks=NUMBERS,
        about="distribution",
        formula="\u222b |F_a \u2212 F_d|",
        sign="Never negative; larger is more different.",
        lowest=0.0,
        highest=math.inf,
        equal=0.0,
        meaning="How far the values would have to be moved, on average, for both sides to be alike, in the unit of the "
        "target; at least the difference of the means.",
        reference="Vallender 1974, Theory of Probability and its Applications 18:784",
        estimate=estimates.wasserstein,
    ),
    MeasureKind(
        name="label missingness",
        title="Difference in missing labels",
        tasks=ALL,
        about="gaps",
        formula="u_a \u2212 u_d, u = rows without a target / rows",
        sign="Negative: the target is missing more often in the group.",
        lowest=-1.0,
        highest=1.0,
        equal=0.0,
        meaning="How much more often the other side's outcome is unknown: rows without it are left out of everything "
        "else.",
        reference="Goel et al. 2021, AAAI (missing data and fairness); Newcombe 1998 (interval)",
        estimate=estimates.label_missingness,
    ),
    MeasureKind(
        name="missingness",
        title="Difference in missing cells",
        tasks=ALL,
        about="gaps",
        formula="m_a \u2212 m_d, m = mean share of missing cells in a row, the target and sensitive columns apart",
        sign="Negative: the group's rows have more missing cells.",
        lowest=-1.0,
        highest=1.0,
        equal=0.0,
        meaning="How much more is missing in the other side's rows: a model knows less of the group with more gaps.",
        reference="Mart\u00ednez-Plumed et al. 2019, arXiv:1905.12728 (fairness); Welch 1947 (interval)",
        estimate=estimates.missingness,
    ),
)

REPRESENTATION = Definition(
    name="representation",
    title="Representation",
    tasks=ALL,
    about="sizes",
    formula="n_g / n \u2212 expected share",
    sign="Negative: the group has fewer rows than expected.",
    lowest=-1.0,
    highest=1.0,
    equal=0.0,
    meaning="The group's share of the rows whose group is known, less its share in the reference distribution: a given "
    "one (who the model is for), or equal shares.",
    reference="Mitchell et al. 2021, Annual Review of Statistics 8:141 (representation); Wilson 1927 (interval)",
)
"""Measured of each group by itself; `reference_shares` of `measure_bias` give the expected shares."""


def measures_for(task: TaskKind) -> tuple[MeasureKind, ...]:
    """The measures that suit a task, in the order they are shown."""
    return tuple(kind for kind in MEASURES if task in kind.tasks)
