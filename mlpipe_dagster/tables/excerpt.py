"""The first rows of a table as Markdown, for a question: few, short, and with nothing in them that identifies people.

Pure: the rows come from `load.preview`. Whole columns that identify people are hidden there; here identifiers within
other values are, and every cell is made harmless, for strangers choose names and values.
"""

import re
from collections.abc import Mapping, Sequence

from mlpipe_dagster.tables.personal import masked

MOST_ROWS = 5
MOST_COLUMNS = 8
LONGEST_CELL = 32
MEANINGFUL = re.compile(r"[\\`*_\[\]<>&|~!]")
"""What Markdown would take for more than a character."""
IN_SENTENCES = re.compile(r"[\\`*\[\]<>&|]")
"""The same where words stand around it: a dash of `loan_id` means nothing there."""


def markdown_table(rows: Sequence[Mapping[str, str]], wanted: str | None = None) -> str:
    """At most 5 rows of at most 8 columns, the `wanted` one among them; empty where there is no row."""
    if not rows:
        return ""
    names = _columns(list(rows[0]), wanted)
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows[:MOST_ROWS])]
    cells = (" | ".join(_cell(text) if number != 1 else text for text in line) for number, line in enumerate(lines))
    left_out = len(rows[0]) - len(names)
    more = f"\n\nAnd {left_out} more column{'s' if left_out > 1 else ''}." if left_out else ""
    return "\n".join(f"| {line} |" for line in cells) + more


def in_markdown(sentence: str) -> str:
    """A sentence that quotes names of strangers, for a text in Markdown: it is read as it stands."""
    return IN_SENTENCES.sub(r"\\\g<0>", sentence)


def _columns(names: list[str], wanted: str | None) -> list[str]:
    shown = names[:MOST_COLUMNS]
    return [*shown[:-1], wanted] if wanted in names and wanted not in shown else shown


def _cell(text: str) -> str:
    plain = masked(" ".join(text.split()))
    short = plain if len(plain) <= LONGEST_CELL else f"{plain[: LONGEST_CELL - 1]}…"
    return MEANINGFUL.sub(r"\\\g<0>", short)
