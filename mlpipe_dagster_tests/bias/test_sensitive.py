"""Recognition of sensitive columns: what must not be flagged first, then names in several languages, then values."""

import subprocess
import sys

import pytest

from mlpipe_dagster.bias.sensitive import find_sensitive
from mlpipe_dagster.tables.profile import ColumnKind, ColumnProfile, Profile, ValueCount


def column(
    name: str,
    kind: ColumnKind = "category",
    values: tuple[str, ...] = (),
    distinct: int = 5,
    span: tuple[float, float] | None = None,
    personal: str | None = None,
) -> ColumnProfile:
    return ColumnProfile(
        name=name,
        data_type="object",
        kind=kind,
        missing=0,
        distinct=distinct,
        minimum=span[0] if span else None,
        maximum=span[1] if span else None,
        top_values=tuple(ValueCount(value=value, count=10) for value in values),
        personal=personal,
    )


def kind_of(described: ColumnProfile) -> str | None:
    found = find_sensitive(Profile(row_count=50, columns=(described,), duplicate_rows=0))
    return found[0].kind if found else None


@pytest.mark.parametrize(
    "described",
    [
        column("average"),
        column("usage"),
        column("housing_median_age", "number", span=(1, 52)),
        column("age", "number", span=(0, 90_000)),
        column("race_time", "number"),
        column("genre", values=("rock", "pop", "jazz")),
        column("paint", values=("white", "black", "red")),
        column("wine_colour", values=("red", "white"), distinct=2),
        column("size", values=("m", "f"), distinct=2),
        column("foreign_key", distinct=40),
        column("sex", "constant", distinct=1),
        column("sex", "empty", distinct=0),
        column("gender_id", "identifier"),
        column("spouse_email", personal="email"),
        column("<script>alert(1)</script>"),
        column(""),
    ],
    ids=lambda described: f"{described.name}/{described.kind}",
)
def test_other_columns_are_left_alone(described: ColumnProfile) -> None:
    assert kind_of(described) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sex", "sex"),
        ("Gender", "sex"),
        ("status_sex", "sex"),
        ("gender2", "sex"),
        ("Geschlecht", "sex"),
        ("płeć", "sex"),
        ("性别", "sex"),
        ("race", "race or ethnicity"),
        ("Ethnicité_ethnie", "race or ethnicity"),
        ("AGE_GROUP", "age"),
        ("SeniorCitizen", "age"),
        ("dateOfBirth", "age"),
        ("Alter (Jahre)", "age"),
        ("âge", "age"),
        ("native-country", "nationality"),
        ("Staatsangehörigkeit", "nationality"),
        ("foreign_worker", "nationality"),
        ("religion", "religion"),
        ("maritalStatus", "marital status"),
        ("MaritalStatus", "marital status"),
        ("Étatcivil", "marital status"),
        ("семейное_положение", "marital status"),
        ("is_disabled", "disability"),
        ("Schwerbehinderung", "disability"),
        ("pregnant", "pregnancy"),
        ("sexual_orientation", "sexual orientation"),
    ],
)
def test_names_in_several_languages(name: str, kind: str) -> None:
    assert kind_of(column(name)) == kind


@pytest.mark.parametrize(
    ("described", "kind"),
    [
        (column("x1", values=("Male", "Female")), "sex"),
        (column("x2", values=("weiblich", "männlich", "divers")), "sex"),
        (column("x3", values=("White", "Black", "Asian-Pac-Islander")), "race or ethnicity"),
        (column("x4", values=("Married-civ-spouse", "Divorced", "Never-married")), "marital status"),
        (column("x5", values=("Muslim", "Christian", "Hindu")), "religion"),
        (column("genre", values=("Homme", "Femme")), "sex"),
        (column("Partner", values=("Yes", "No"), distinct=2), "marital status"),
        (column("birth_year", "number", span=(1931, 2004)), "age"),
    ],
)
def test_values_give_a_column_away(described: ColumnProfile, kind: str) -> None:
    assert kind_of(described) == kind


def test_the_reason_is_said() -> None:
    table = Profile(row_count=20, columns=(column("sex"), column("q", values=("Male", "Female"))), duplicate_rows=0)
    assert [found.why for found in find_sensitive(table)] == [
        "its name points to sex",
        "its values point to sex: “Male”, “Female”",
    ]


def test_it_can_be_used_without_loading_pandas() -> None:
    code = "import sys, mlpipe_dagster.bias.sensitive; print({'pandas', 'numpy', 'scipy', 'duckdb'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
