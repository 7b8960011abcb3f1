"""One small picture of a bias report: the outcome by group of its most unequal feature, as a file of its own.

The page with everything else is made in `bias_report.py`.
"""

from mlpipe_dagster.bias.findings import contrast, most_unequal
from mlpipe_dagster.bias.report import BiasReport, FeatureBias, Group
from mlpipe_dagster.reports.bias_view import outcome_chart
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
    return stand_alone(outcome_chart(report, feature, _chosen(report, feature), level=Level.INTERMEDIATE))


def _chosen(report: BiasReport, feature: FeatureBias) -> list[Group]:
    """The groups to draw, in the order of the feature."""
    measure = contrast(feature, report.task).measure
    first = {feature.reference, measure.group if measure else None}
    shown = sorted((group for group in feature.groups if group.outcomes), key=lambda group: -(group.count or 0))
    ranked = [group for group in shown if group.name in first] + [group for group in shown if group.name not in first]
    kept = {group.name for group in ranked[:_MOST_BARS]}
    return [group for group in feature.groups if group.name in kept]
