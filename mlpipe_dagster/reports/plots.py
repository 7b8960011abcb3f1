"""Small stand-alone SVG files for places that show an image beside a result: leading columns, the target, gaps."""

from mlpipe_dagster.reports.charts import Bar, bar_chart, histogram, stand_alone
from mlpipe_dagster.reports.wording import percent_text
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.xai.explanation import ModelExplanation

MOST_BARS = 5
MOST_CLASSES = 20


def factors_plot(explanation: ModelExplanation) -> str:
    """The five columns with the most influence on a model, as an SVG file of about 490 x 290 pixels."""
    leading = explanation.columns[:MOST_BARS]
    bars = [Bar(column.name, column.share, text=percent_text(column.share)) for column in leading]
    return stand_alone(bar_chart(bars, title=f"What the prediction of {explanation.target} rests on"))


def data_plot(profile: Profile, target: str | None) -> str:
    """The distribution of the target as an SVG file; missing values by column where there is no target to draw."""
    column = profile.column(target) if target else None
    if column is not None and column.personal is None:
        if column.histogram and column.distinct > MOST_CLASSES:
            return stand_alone(histogram(column.histogram, title=f"Values of {column.name}"))
        if column.top_values:
            return _values(column, profile.row_count)
    return _gaps(profile)


def _values(column: ColumnProfile, rows: int) -> str:
    known = max(rows - column.missing, 1)
    bars = [
        Bar(top.value, top.count, text=f"{top.count:,} ({percent_text(top.count / known)})")
        for top in column.top_values[:MOST_BARS]
    ]
    return stand_alone(bar_chart(bars, title=f"Rows by {column.name}"))


def _gaps(profile: Profile) -> str:
    rows = max(profile.row_count, 1)
    gaps = sorted((column for column in profile.columns if column.missing), key=lambda column: -column.missing)
    bars = [
        Bar(column.name, column.missing / rows, text=percent_text(column.missing / rows)) for column in gaps[:MOST_BARS]
    ]
    bars = bars or [Bar("all columns", 0.0, text="nothing is missing")]
    return stand_alone(bar_chart(bars, title="Share of missing values by column"))
