"""Numbers as words: rounding that never misleads, texts that break nothing."""

import math

import pytest

from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.reports.wording import (
    isolated,
    list_text,
    number_text,
    percent_text,
    printable,
    shortened,
    signed_text,
    text_width,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "not defined"),
        (math.inf, "infinite"),
        (0.0, "0"),
        (0.03456, "0.0346"),
        (12.34, "12.3"),
        (206855.8, "206,856"),
        (-0.5, "\u22120.5"),
        (1000.0, "1,000"),
        (1.234e-7, "1.23e-07"),
        (-1.234e-7, "\u22121.23e-07"),
        (0.9999, "1"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number_text(value) == text


def test_signs_are_written_out() -> None:
    assert (signed_text(2.0), signed_text(-2.0), signed_text(0.0)) == ("+2", "\u22122", "0")


@pytest.mark.parametrize(
    ("share", "text"), [(0.4, "40%"), (0.1234, "12.3%"), (1.0, "100%"), (0.0, "0%"), (-0.1, "\u221210%")]
)
def test_percentages(share: float, text: str) -> None:
    assert percent_text(share) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "none"),
        (1.0, "all"),
        (0.81, "about 8 of 10"),
        (0.03, "about 3 of 100"),
        (0.97, "about 97 of 100"),
        (0.996, "about 996 of 1,000"),
        (0.00001, "fewer than 1 of 1,000"),
        (0.99999, "more than 999 of 1,000"),
    ],
)
def test_frequencies_never_say_never(share: float, text: str) -> None:
    assert texts().frequency(share) == text


def test_lists() -> None:
    assert [list_text(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_what_xml_forbids_is_replaced() -> None:
    assert (
        printable("a\x00b\u202ec\ud800d\n\u05e9\u05dc\u05d5\u05dd")
        == "a\ufffdb\ufffdc\ufffdd\n\u05e9\u05dc\u05d5\u05dd"
    )


def test_long_texts_are_cut_to_their_width() -> None:
    cut = shortened("a very long label " * 10, 100, 12)
    assert cut.endswith("…")
    assert text_width(cut, 12) <= 100
    assert shortened("short", 100, 12) == "short"


def test_names_written_from_right_to_left_turn_nothing_beside_them() -> None:
    name = "\u0630\u0643\u0631"
    assert isolated(f"“{name}” 53 of 100, “men” 31") == f"“\u2068{name}\u2069” 53 of 100, “men” 31"
