"""The dialect of delimited text, judged from its first lines: which delimiter, and whether the first line names the
columns.

Works on decoded text alone; files, encodings and types belong to others.
"""

import csv
import io
import itertools
import re
from collections.abc import Sequence

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_RECORDS = 200
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
MISSING_WORDS = ("", "NA", "N/A", "n/a", "null", "NULL", "Null", "NaN", "nan", "<NA>", "#N/A", "?")
"""Text that means "no value", after trimming."""


def records(text: str, delimiter: str, limit: int = SAMPLE_RECORDS) -> list[list[str]]:
    """The first records of `text`, blank lines left out."""
    csv.field_size_limit(1 << 30)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return list(itertools.islice((record for record in reader if record), limit))


def agreement(sample: Sequence[Sequence[str]]) -> float:
    """Share of records with as many fields as the first one; 0 where that has a single field."""
    if not sample or len(sample[0]) < 2:
        return 0.0
    return sum(len(record) == len(sample[0]) for record in sample) / len(sample)


def find_delimiter(text: str, preferred: str = ",") -> tuple[str, float]:
    """The delimiter that splits the most records like the first one, and that share (0: one column).

    Ties go to the one that makes more columns, then to `preferred`.
    """

    def merit(delimiter: str) -> tuple[float, int, bool]:
        sample = records(text, delimiter)
        share = agreement(sample)
        return round(share, 2), len(sample[0]) if share else 0, delimiter == preferred

    best = max(DELIMITERS, key=merit)
    share = merit(best)[0]
    return (best, share) if share else (preferred, 0.0)


def has_header(sample: Sequence[Sequence[str]]) -> bool:
    """Whether the first record names the columns.

    It does not where it holds a number in every column of numbers (and there is one). Counters from 0 and years are
    still names: that is how data frames without names and wide yearly tables are written.
    """
    if len(sample) < 2:
        return True
    width = len(sample[0])
    body = [record for record in sample[1:] if len(record) == width]
    numeric = [index for index in range(width) if _is_numeric([record[index] for record in body])]
    firsts = [sample[0][index].strip() for index in numeric]
    if not any(NUMBER.fullmatch(first) for first in firsts):
        return True
    if not all(NUMBER.fullmatch(first) or first in MISSING_WORDS for first in firsts):
        return True
    return _names_by_number([first for first in firsts if NUMBER.fullmatch(first)])


def _is_numeric(values: Sequence[str]) -> bool:
    present = [value.strip() for value in values if value.strip() not in MISSING_WORDS]
    return bool(present) and all(NUMBER.fullmatch(value) for value in present)


def _names_by_number(firsts: Sequence[str]) -> bool:
    if not all(first.isascii() and first.isdigit() for first in firsts):
        return False
    numbers = [int(first) for first in firsts]
    years = len(set(numbers)) == len(numbers) > 1 and all(1900 <= number <= 2100 for number in numbers)
    return years or numbers == list(range(len(numbers)))
