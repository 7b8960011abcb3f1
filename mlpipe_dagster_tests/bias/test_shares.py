"""Reference shares as a person writes them: read, scaled, or refused with what to write."""

import pytest

from mlpipe_dagster.bias.shares import EXAMPLE, parse_shares
from mlpipe_dagster.errors import UserError


def test_shares_and_percentages_are_scaled_to_one() -> None:
    assert parse_shares(EXAMPLE) == {
        "sex": {"female": pytest.approx(0.51), "male": pytest.approx(0.49)},
        "race": {"White": pytest.approx(0.6), "Black": pytest.approx(0.13), "Other": pytest.approx(0.27)},
    }
    assert parse_shares(" a=b: c : x=y = 33.3%, z=66.6% ;") == {  # the last signs of a kind separate
        "a=b: c": {"x=y": pytest.approx(1 / 3), "z": pytest.approx(2 / 3)}
    }
    assert parse_shares('{"race; x": {"A, B": 0.25, "C": 0.75}}') == {"race; x": {"A, B": 0.25, "C": 0.75}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("female=51, male=49", "cannot be read. Write them like this: sex: female"),
        ("sex: female 51, male 49", "cannot be read"),
        ("sex: female=half, male=0.5", "“half” of “sex” is no number"),
        ("sex: female=0.5, male=0.4", "add up to 0.9"),
        ("sex: female=510, male=490", "add up to 1,000"),
        ("sex: female=-1, male=2", "must be positive numbers"),
        ("sex: female=nan, male=1", "must be positive numbers"),
        ("sex: female=0.5, female=0.5", "“female” is named twice"),
        ("sex: female=1; sex: female=1", "“female” is named twice"),
        ("{sex: 1}", "are no JSON"),
        ('{"sex": 1}', "as JSON look like this"),
        (" ; ", "name no column"),
        ("{}", "name no column"),
    ],
)
def test_what_cannot_be_shares_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_shares(text)
