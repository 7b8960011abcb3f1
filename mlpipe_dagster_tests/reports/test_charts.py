"""Charts: well-formed SVG with a text alternative, whatever the labels and numbers are."""

import math
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from mlpipe_dagster.reports.charts import Bar, Line, bar_chart, histogram, line_chart, stand_alone
from mlpipe_dagster.tables.profile import HistogramBin

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<script>alert(1)</script>",
    '" onload="x\' &amp;',
    "😀 emoji",
    "שלום עולם",
    "\x00\x1b\u202eturned",
    "",
    "x" * 500,
)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_are_text(label: str) -> None:
    drawn = [
        bar_chart([Bar(label, 1.0, text=label)], title=label, unit=label, reference=0.5, reference_label=label),
        line_chart([Line(label, ((0, 1), (1, 2))), Line(label, ((0, 2),))], title=label, x_label=label, y_label=label),
        histogram([HistogramBin(lower=0, upper=1, count=3)], title=label, unit=label),
    ]
    for svg in drawn:
        assert isinstance(svg, Markup)
        for root in (parsed(svg), parsed(stand_alone(svg))):
            assert not list(root.iter(f"{SVG}script"))
            assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)


@pytest.mark.parametrize(
    "svg",
    [
        bar_chart([], title="nothing"),
        bar_chart([Bar("a", math.nan), Bar("b", math.inf), Bar("c", 1.0, math.nan, 2.0)], title="not finite"),
        bar_chart([Bar("a", 0.0)], title="all zero"),
        histogram([], title="no bins"),
        histogram([HistogramBin(lower=2, upper=2, count=5)], title="one value"),
        line_chart([], title="no lines"),
        line_chart([Line("a", ((1, 1),))], title="one point"),
        line_chart([Line("a", ((1, math.nan), (2, 3), (3, 3)))], title="a gap"),
    ],
)
def test_degenerate_numbers_still_make_a_chart(svg: Markup) -> None:
    root = parsed(svg)
    assert root.find(f"{SVG}title") is not None
    assert "nan" not in svg.lower().replace("not defined", "")
    assert "inf " not in svg


def test_signed_bars_lie_on_their_side_of_zero() -> None:
    root = parsed(bar_chart([Bar("up", 2.0), Bar("down", -1.0)], title="signed"))
    up, down = root.iter(f"{SVG}rect")
    assert float(down.attrib["x"]) + float(down.attrib["width"]) == pytest.approx(float(up.attrib["x"]), abs=0.11)
    assert float(up.attrib["width"]) == pytest.approx(2 * float(down.attrib["width"]), abs=0.2)


def test_the_text_alternative_says_every_number() -> None:
    said = parsed(bar_chart([Bar("a", 0.25, 0.2, 0.3), Bar("b", -3.0)], title="T", unit=" kg")).findtext(f"{SVG}desc")
    assert said == "a: 0.25 kg (interval 0.2 to 0.3); b: \u22123 kg."


def test_histogram_names_the_fullest_bin() -> None:
    bins = [HistogramBin(lower=0, upper=10, count=2), HistogramBin(lower=10, upper=20, count=7)]
    said = parsed(histogram(bins, title="T")).findtext(f"{SVG}desc") or ""
    assert "From 0 to 20" in said
    assert "(7 rows) lie between 10 and 20" in said


def test_a_file_of_its_own_carries_its_title_and_a_light_panel() -> None:
    root = parsed(stand_alone(bar_chart([Bar("a", 1.0)], title="Rows by <answer>")))
    assert root.find(f"{SVG}text").text == "Rows by <answer>"  # type: ignore[union-attr]
    assert root.find(f"{SVG}rect").attrib["fill"] == "#ffffff"  # type: ignore[union-attr]
