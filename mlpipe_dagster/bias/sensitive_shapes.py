"""The shapes of values that give a sensitive column away where no list of words can: age bands and postcodes.

Predicates on the most frequent values of a column; `sensitive_kinds.py` says which kind has which shape.
"""

import re
from collections.abc import Sequence

MOST = 0.8
"""Share of the values that must have the shape."""
FEWEST = 3
"""Fewer bands or postcodes than that show no shape."""
_DASH = "(?:-|\u2010|\u2012|\u2013|\u2014|to|bis|a|\u00e0|et|y)"
_YEARS = r"(?:years?(?: old)?|yrs?|y\.?o\.?|jahren?|ans|a\u00f1os|anos|anni|jaar|lat|\u6b73|\u5c81)"
_BETWEEN = re.compile(rf"[\[(]?\s*(\d{{1,3}})\s*{_DASH}\s*<?\s*(\d{{1,3}})\s*[\])]?\s*{_YEARS}?")
_BELOW = re.compile(
    rf"(?:<=?|\u2264|under|below|less than|younger than|up to|unter|bis|moins de|menos de|menor de)\s*(\d{{1,3}})"
    rf"\s*{_YEARS}?"
)
_ABOVE = re.compile(
    rf"(?:>=?|\u2265|over|above|more than|greater than|older than|\u00fcber|ab|plus de|m\u00e1s de|mayor de)\s*"
    rf"(\d{{1,3}})\s*{_YEARS}?"
    rf"|(\d{{1,3}})\s*(?:\+|(?:years )?and (?:over|older|above|up)|or (?:over|older|more)|plus|und \u00e4lter|et plus"
    rf"|y m\u00e1s)\s*{_YEARS}?"
)
_YOUNGEST_FIRST, _OLDEST_FIRST = 10, 30
"""Where the lowest band of people ends or begins: 12-17, 18-24, under 25."""
_EARLIEST_LAST, _LATEST_LAST = 45, 100
"""Where the band of the oldest begins: 45 and over, 65+."""
_POSTCODE = re.compile(
    r"[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}"  # United Kingdom
    r"|[A-Z]\d[A-Z]\s?\d[A-Z]\d"  # Canada
    r"|\d{4}\s?[A-Z]{2}"  # Netherlands
    r"|\d{5}-\d{4}"  # United States, with four more
    r"|\d{5}-\d{3}"  # Brazil
    r"|\d{2}-\d{3}"  # Poland
    r"|\d{4}-\d{3}"  # Portugal
    r"|\d{3}-\d{4}"  # Japan
    r"|(?:D|A|CH|F|I|B|L)-\d{4,5}"  # with the country before it
    r"|\d{3} \d{2}"  # Sweden, Czechia, Slovakia, Greece
)
_PLAIN_POSTCODE = re.compile(rf"\d{{3,6}}|\d{{3}}(?:xx|\*\*)|[A-Z]{{1,2}}\d[A-Z\d]?|{_POSTCODE.pattern}")


def are_age_bands(values: Sequence[str]) -> bool:
    """Bands as ages of people are grouped: they begin between 10 and 30 and end open between 45 and 100 years.

    Numbers of employees, hours or percentages are banded too: those begin at 0 or 1, or go on beyond 100.
    """
    lowest, between, highest = [], [], []
    for value in (value.casefold().strip() for value in values):
        if match := _BELOW.fullmatch(value):
            lowest.append(int(match[1]))
        elif match := _ABOVE.fullmatch(value):
            highest.append(int(match[1] or match[2]))
        elif match := _BETWEEN.fullmatch(value):
            between.append((int(match[1]), int(match[2])))
    shaped = len(lowest) + len(between) + len(highest)
    if shaped < max(FEWEST, MOST * len(values)) or not highest:
        return False
    first = min(lowest) if lowest else min(low for low, _ in between)
    ascending = all(low < high for low, high in between)
    people = _YOUNGEST_FIRST <= first <= _OLDEST_FIRST and _EARLIEST_LAST <= max(highest) <= _LATEST_LAST
    return ascending and people and all(high <= _LATEST_LAST for _, high in between)


def are_postcodes(values: Sequence[str]) -> bool:
    """Postcodes of countries whose postcodes look like nothing else; plain numbers are none without a name."""
    return _shaped(_POSTCODE, values)


def could_be_postcodes(values: Sequence[str]) -> bool:
    """Numbers of three to six digits, too, and first parts of postcodes: for columns that are named so."""
    return _shaped(_PLAIN_POSTCODE, values)


def _shaped(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    fit = sum(bool(pattern.fullmatch(value.strip().upper().replace("XX", "xx"))) for value in values)
    return fit >= max(FEWEST, MOST * len(values))
