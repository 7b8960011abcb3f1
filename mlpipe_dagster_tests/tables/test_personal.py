"""Which columns identify people: by header in several languages, by values with right check digits; on known tables."""

from pathlib import Path

import pytest

from mlpipe_dagster.tables.convert import to_parquet
from mlpipe_dagster.tables.personal import masked, personal_kind

FOUND = [
    ("Prénom", ["Élodie", "Jean-Luc", "Zoë"], 0.9, "name"),
    ("nom_client", ["Dupont", "Martin"], 0.05, "name"),
    ("Kundenname", ["Müller", "Schmidt"], 0.05, "name"),
    ("driver_name", ["Lewis", "Max"], 0.01, "name"),
    ("客户姓名", ["王伟", "李娜"], 1.0, "name"),
    ("passenger", ["Braund, Mr. Owen Harris", "Hays, Miss. Maggie"], 1.0, "name"),
    ("Kundennummer", ["10023", "10044"], 1.0, "personal number"),
    ("customerID", ["7590-VHVEG", "5575-GNVDE"], 1.0, "personal number"),
    ("patient_nbr", ["8222157", "55629189"], 0.7, "personal number"),
    ("Ticket", ["A/5 21171", "PC 17599", "113803"], 0.76, "personal number"),
    ("Straße", ["Hauptstraße 12", "Am Ring 3a"], 0.9, "address"),
    ("col3", ["12 Main St", "9 Old Mill Road, Leeds"], 0.9, "address"),
    ("adresse", ["12 rue de la Paix", "3 bis, avenue Foch"], 0.9, "address"),
    ("indirizzo", ["Via Roma 4", "Piazza Navona 11"], 0.9, "address"),
    ("x", ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"], 1.0, "bank account"),
    ("x", ["4111 1111 1111 1111", "378282246310005"], 1.0, "bank account"),
    ("телефон", ["84951234567", "84951234568"], 1.0, "phone"),
    ("Téléphone", ["0142685300", "0142685301"], 1.0, "phone"),
    ("x", ["AB123456C", "GH 12 34 56 D"], 1.0, "national id"),
    ("x", ["RSSMRA85T10A562S", "BNCGLI80A41F205X"], 1.0, "national id"),
    ("Personalausweis", ["L01X00T471", "T220001293"], 1.0, "national id"),
    ("kontakt", ["ada@example.com", "bob@mail.example.org"], 1.0, "email"),
]
"""German IBAN and British one: the examples of the registry; card numbers: the card companies' test numbers."""
ORDINARY = [
    ("address", ["U", "R"], 0.003),
    ("ip_address", ["10.0.0.1a", "10.0.0.2b"], 1.0),
    ("number_of_customers", ["12", "13"], 0.5),
    ("customer_segment_code", ["A1", "B2"], 0.01),
    ("streetlight", ["on", "off"], 0.5),
    ("country_name", ["Norway", "Sweden"], 0.5),
    ("species name", ["Setosa", "Virginica"], 0.02),
    ("hostname", ["srv1", "srv2"], 0.5),
    ("x", ["DE89 3704 0044 0532 0130 01", "GB82WEST12345698765433"], 1.0),
    ("x", ["4111 1111 1111 1112", "378282246310006"], 1.0),
    ("article", ["4006381333931", "4006381333948"], 1.0),
    ("time", ["2024-01-01 10:00", "2024-01-02 11:30"], 1.0),
]


@pytest.mark.parametrize(("column", "values", "share", "kind"), FOUND)
def test_columns_of_people(column: str, values: list[str], share: float, kind: str) -> None:
    assert personal_kind(column, values, share) == kind


@pytest.mark.parametrize(("column", "values", "share"), ORDINARY)
def test_ordinary_columns(column: str, values: list[str], share: float) -> None:
    assert personal_kind(column, values, share) is None


TABLES = {
    "titanic.csv": {"PassengerId": "personal number", "Name": "name", "Ticket": "personal number"},
    "telco_churn.csv": {"customerID": "personal number"},
    "compas_two_years.csv": {
        "name": "name",
        "first": "name",
        "last": "name",
        "c_case_number": "personal number",
        "r_case_number": "personal number",
        "vr_case_number": "personal number",
    },
    "adult.csv": {},
    "bank_marketing.csv": {},
    "california_housing.csv": {},
    "german_credit.csv": {},
    "law_school.csv": {},
    "student_por.csv": {},
    "wine_quality.csv": {},
}


@pytest.mark.parametrize("table", TABLES)
def test_known_tables(shared_data: Path, tmp_path: Path, table: str) -> None:
    profile = to_parquet(shared_data / table, table, tmp_path / "table.parquet")
    assert {column.name: column.personal for column in profile.columns if column.personal} == TABLES[table]


def test_what_identifies_somebody_is_masked_within_a_text() -> None:
    text = "Ask ada@example.com or +47 22 33 44 55, 555-123-4567, 123-45-6789, DE89370400440532013000"
    assert masked(text) == "Ask ••• or •••, •••, •••, •••"
    assert masked("on 2020-01-02 12:30+02:00, 10.5 of 1,200") == "on 2020-01-02 12:30+02:00, 10.5 of 1,200"
