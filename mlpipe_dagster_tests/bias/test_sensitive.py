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
        column("sexagesimal"),
        column("page", "number", span=(1, 90)),
        column("message", values=("male voice", "female voice")),
        column("race_distance"),
        column("horse_race", values=("derby", "oaks")),
        column("partner_company", values=("a", "b"), distinct=2),
        column("single_room", distinct=2),
        column("black_friday_sale", values=("Black", "White")),
        column("account_age_days", "number", span=(0, 120)),
        column("zip_file", values=("12345", "23456", "34567")),
        column("zip", values=("yes", "no"), distinct=2),
        column("employees", values=("1-10", "11-50", "51-200", "201+")),
        column("hours", values=("0-20", "21-40", "40+")),
        column("score", values=("0-20", "20-40", "40-60", "60-80", "80-100")),
        column("discount", values=("10-20", "20-30", "30+")),
        column("cuisine", values=("Italian", "French", "Chinese")),
        column("supplier_country", values=("China", "Germany", "India")),
        column("programming_language", values=("Python", "Java")),
        column("original_language", values=("English", "French")),
        column("offense_degree", values=("F", "M"), distinct=2),
        column("state", values=("Georgia", "Texas", "Ohio")),
        column("answer", values=("no", "f"), distinct=2),
        column("x", values=("12345", "23456", "34567")),
        column("part", values=("12-345-678", "12-345-679", "12-345-680")),
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
        ("Kundengeschlecht", "sex"),
        ("custgender", "sex"),
        ("客户性别", "sex"),
        ("sukupuoli", "sex"),
        ("cinsiyet", "sex"),
        ("RAC1P", "race or ethnicity"),
        ("cor_raca", "race or ethnicity"),
        ("fecha_de_nacimiento", "age"),
        ("tranche d'âge", "age"),
        ("ValidadeIdade", "age"),
        ("ikäryhmä", None),
        ("생년월일", "age"),
        ("nacionalidad", "nationality"),
        ("kansalaisuus", "nationality"),
        ("Religionszugehörigkeit", "religion"),
        ("wyznanie", "religion"),
        ("stan_cywilny", "marital status"),
        ("medeniDurum", "marital status"),
        ("discapacidad", "disability"),
        ("障害", "disability"),
        ("PLZ", "postcode"),
        ("ZipCode", "postcode"),
        ("code_postal", "postcode"),
        ("郵便番号", "postcode"),
        ("mother_tongue", "language"),
    ],
)
def test_names_in_several_languages(name: str, kind: str | None) -> None:
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
        (column("x6", values=("M", "F"), distinct=2), "sex"),
        (column("x7", values=("m", "w", "d"), distinct=3), "sex"),
        (column("x8", values=("Herr", "Frau")), "sex"),
        (column("x9", values=("男", "女")), "sex"),
        (column("q1", values=("White", "Hispanic or Latino", "Two or more races")), "race or ethnicity"),
        (column("q2", values=("18-24", "25-34", "35-44", "65+")), "age"),
        (column("q3", values=("Less than 25", "25 - 45", "Greater than 45")), "age"),
        (column("q4", values=("unter 20", "20 bis 39", "40 bis 59", "60 und älter")), "age"),
        (column("q5", values=("German", "Turkish", "Syrian")), "nationality"),
        (column("q6", values=("France", "Maroc", "Algérie")), "nationality"),
        (column("q7", values=("römisch-katholisch", "evangelisch", "konfessionslos")), "religion"),
        (column("q8", values=("ledig", "verheiratet", "geschieden")), "marital status"),
        (column("q9", values=("disabled", "not disabled")), "disability"),
        (column("v1", values=("SW1A 1AA", "M1 1AE", "EC1A 1BB")), "postcode"),
        (column("v2", values=("1012 AB", "3511 LX", "9711 CC")), "postcode"),
        (column("zip", values=("10001", "60601", "94105")), "postcode"),
        (column("language", values=("English", "Spanish")), "language"),
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


def test_letters_that_could_be_a_sex_are_none_beside_a_column_that_is() -> None:
    letters = column("x", values=("F", "M"), distinct=2)
    alone = Profile(row_count=20, columns=(letters,), duplicate_rows=0)
    beside = Profile(row_count=20, columns=(letters, column("gender", values=("Male", "Female"))), duplicate_rows=0)
    assert [found.column for found in find_sensitive(alone)] == ["x"]
    assert [found.column for found in find_sensitive(beside)] == ["gender"]
