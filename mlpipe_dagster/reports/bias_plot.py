"""One small picture of a bias report: the outcome by group of its most unequal feature, as a file of its own.

The page with everything else is made in `bias_report.py`.
"""

from mlpipe_dagster.bias.findings import most_unequal
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.reports.bias_view import outcome_chart, telling_groups
from mlpipe_dagster.reports.charts import bar_chart, stand_alone
from mlpipe_dagster.vocabulary import Level

_MOST_BARS = 4


def bias_plot(report: BiasReport) -> str:
    """A stand-alone SVG, about 485 pixels wide, readable on white and on dark: outcome by group with 95 % intervals.

    At most four groups: the reference, the one that differs most, and the largest of the others.
    """
    feature = most_unequal(report)
    if feature is None:
        return stand_alone(bar_chart([], title="No groups of people to compare"))
    return stand_alone(
        outcome_chart(report, feature, telling_groups(report, feature, _MOST_BARS), level=Level.INTERMEDIATE)
    )
