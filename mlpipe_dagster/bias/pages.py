"""Writes docs/bias-measures.md from the table of measures and docs/bias-report.schema.json from `BiasReport`.

`make docs` runs it with the folder to write to, so that both say what is true.
"""

import json
import math
import sys
from pathlib import Path

from mlpipe_dagster.bias import cross
from mlpipe_dagster.bias.compare import DRAWS
from mlpipe_dagster.bias.groups import LARGEST, MOST_CELLS
from mlpipe_dagster.bias.intervals import CONFIDENCE, SEED
from mlpipe_dagster.bias.measures import MEASURES, REPRESENTATION, Definition
from mlpipe_dagster.bias.report import SUPPRESSED_BELOW, TOO_FEW_BELOW, BiasReport
from mlpipe_dagster.bias.sample import MOST_ROWS
from mlpipe_dagster.reports.wording import number_text
from mlpipe_dagster.vocabulary import TaskKind

SCHEMA_URL = "https://json-schema.org/draft/2020-12/schema"

HEAD = f"""# Measures of bias before training

Generated from `mlpipe_dagster/bias/measures.py` (`make docs`); a test keeps the two alike. The numbers of a report are
described by [bias-report.schema.json](bias-report.schema.json), its form by [bias-report.md](bias-report.md).

**Who is compared.** `d` is the group looked at, `a` the other side: the reference group (the largest), or everyone
else. Every measure is taken of every group of every sensitive column against both (with two groups against the
reference alone), and of the groups of intersections: all pairs, then all threes of the columns, up to
{cross.MOST_INTERSECTIONS} of them (all of five columns) with {cross.MOST_CROSSED_GROUPS:,} possible groups together.
Where not all fit, those with most rows in groups of {TOO_FEW_BELOW} or more come first; the outcome has no say in it,
and the report names what is left out. A column has up to {LARGEST} groups and one of all other values, numbers become
bands; an intersection keeps its {cross.LARGEST_CROSSED} largest groups apart, and of more than
{cross.MOST_CROSSED_CLASSES} classes compares the most frequent ones one by one.

**Letters.** n: rows; q: rate of one class of the target; P: distribution of the target's classes, over all classes that
occur on either side; F: cumulative distribution of a numeric target. Logarithms are natural.

**Uncertainty.** Every estimate has a {CONFIDENCE:.0%} interval whose method the report names. Bootstrap intervals come
from {DRAWS[TaskKind.BINARY]:,} multinomial resamples ({DRAWS[TaskKind.REGRESSION]:,} for numbers), seed {SEED}.
P-values of tests are corrected by Holm's method: those against the reference group, those against everyone else and
those of representation apart, and intersections apart from single columns. Intervals are not corrected for their
number.

**Small groups.** Under {TOO_FEW_BELOW} rows a measure is flagged as too few to say.
Under {SUPPRESSED_BELOW} no figure is shown.

**Approximations.** Distributions of a numeric target with more than {MOST_CELLS:,} different values are compared at
{MOST_CELLS:,} quantiles ({cross.MOST_CROSSED_CELLS} in intersections): KS is then a lower bound, Wasserstein close. The
conditioning column is proposed, as proxies and leaks are, from at most {MOST_ROWS:,} rows; all else is counted in all.

| measure | for | formula | range | alike | sign |
| --- | --- | --- | --- | --- | --- |
"""


def measures_page() -> str:
    """The page as Markdown."""
    rows = (*MEASURES, REPRESENTATION)
    table = "".join(_line(row) for row in rows)
    return HEAD + table + "".join(_paragraph(row) for row in rows)


def _line(row: Definition) -> str:
    ends = f"{_end(row.lowest)} to {_end(row.highest)}"
    formula = row.formula.replace("|", "\\|")
    return f"| {row.name} | {_tasks(row)} | {formula} | {ends} | {number_text(row.equal)} | {row.sign} |\n"


def _end(value: float) -> str:
    return ("∞" if value > 0 else "\u2212∞") if math.isinf(value) else number_text(value)


def _tasks(row: Definition) -> str:
    if len(row.tasks) == len(TaskKind):
        return "all"
    return "numbers" if TaskKind.REGRESSION in row.tasks else "classes"


def _paragraph(row: Definition) -> str:
    return f"\n**{row.title}** ({row.name}, {_tasks(row)}). {row.meaning} Reference: {row.reference}.\n"


def report_schema() -> str:
    """The JSON Schema of a report, as it is stored and served."""
    schema = {"$schema": SCHEMA_URL, **BiasReport.model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "bias-measures.md").write_text(measures_page(), encoding="utf-8")
    (folder / "bias-report.schema.json").write_text(report_schema(), encoding="utf-8")
