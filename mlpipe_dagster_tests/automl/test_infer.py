"""Which column a table is about: the unhappy paths, the rules, and the real tables."""

import gzip
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from mlpipe_dagster.automl.infer import infer_target, infer_task
from mlpipe_dagster.errors import TargetError
from mlpipe_dagster.tables.convert import to_parquet
from mlpipe_dagster.tables.profile import ColumnKind, ColumnProfile, Profile
from mlpipe_dagster.vocabulary import TaskKind

ROWS = 1000


def column(
    name: str, kind: ColumnKind = "number", distinct: int = 400, data_type: str = "float64", personal: str | None = None
) -> ColumnProfile:
    return ColumnProfile(name=name, data_type=data_type, kind=kind, missing=0, distinct=distinct, personal=personal)


def table(*columns: ColumnProfile) -> Profile:
    return Profile(row_count=ROWS, columns=columns, duplicate_rows=0)


@pytest.mark.parametrize("kind", ["identifier", "text", "empty", "constant", "datetime"])
def test_what_cannot_be_predicted(kind: ColumnKind) -> None:
    with pytest.raises(TargetError, match="“c” cannot be predicted"):
        infer_task(column("c", kind), ROWS)


def test_a_table_of_identifiers_has_no_target() -> None:
    with pytest.raises(TargetError, match="No column of this table can be predicted"):
        infer_target(table(column("id", "identifier"), column("target", "category", 2, personal="name")))


@pytest.mark.parametrize(
    ("found", "task"),
    [
        (column("y", "boolean", 2, "bool"), TaskKind.BINARY),
        (column("y", "number", 2), TaskKind.BINARY),
        (column("y", "category", 3, "object"), TaskKind.MULTICLASS),
        (column("y", "number", 7, "int64"), TaskKind.MULTICLASS),
        (column("y", "number", 7, "float64"), TaskKind.REGRESSION),
        (column("y", "number", 40, "int64"), TaskKind.REGRESSION),
    ],
)
def test_task_by_values(found: ColumnProfile, task: TaskKind) -> None:
    assert infer_task(found, ROWS)[0] is task


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (["age", "Churn", "city"], "Churn"),
        (["y", "a", "b"], "y"),
        (["a", "b", "c"], "c"),
        (["a", "b", "sex"], "b"),
        (["median_income", "housePrice", "rooms"], "housePrice"),
        (["default", "target", "id_like"], "target"),
        (["label", "split"], "label"),
    ],
)
def test_target_by_name_and_place(names: list[str], target: str) -> None:
    assert infer_target(table(*(column(name) for name in names)))[0] == target


def head(path: Path, folder: Path, lines: int = 3000) -> Path:
    """The first rows of a table, as a file of its own."""
    shortened = folder / path.name.removesuffix(".gz")
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        shortened.write_bytes(b"".join(itertools.islice(file, lines)))
    return shortened


@pytest.mark.long
def test_targets_of_published_tables_by_rule(shared_data: Path, tmp_path: Path) -> None:
    expected = {
        "adult.csv": ("income", TaskKind.BINARY),
        "bank_full_semicolon_original.csv": ("y", TaskKind.BINARY),
        "bank_marketing.csv": ("y", TaskKind.BINARY),
        "breast_cancer.csv": ("target", TaskKind.BINARY),
        "california_housing.csv": ("median_house_value", TaskKind.REGRESSION),
        "compas_two_years.csv": ("two_year_recid", TaskKind.BINARY),
        "covertype_sample.csv.gz": ("Cover_Type", TaskKind.MULTICLASS),
        "diabetes_130us.csv.gz": ("readmitted", TaskKind.MULTICLASS),
        "fertility_census1980.csv.gz": ("work", TaskKind.REGRESSION),
        "german_credit.csv": ("credit", TaskKind.BINARY),
        "law_school.csv": ("pass_bar", TaskKind.BINARY),
        "student_por.csv": ("class", TaskKind.BINARY),
        "telco_churn.csv": ("Churn", TaskKind.BINARY),
        "titanic.csv": ("Survived", TaskKind.BINARY),
        "wine_quality.csv": ("quality", TaskKind.MULTICLASS),
    }
    found = {}
    for name in expected:
        profile = to_parquet(head(shared_data / name, tmp_path), "head.csv", tmp_path / f"{name}.parquet")
        target = infer_target(profile)[0]
        measured = profile.column(target)
        assert measured is not None
        found[name] = (target, infer_task(measured, profile.row_count)[0])
    assert found == expected


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, mlpipe_dagster.automl.infer; print({'pandas', 'sklearn', 'numpy', 'lightgbm'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
