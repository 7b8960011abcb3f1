"""The dataset stage asks its owner with the first rows, and shows nobody in them."""

from pathlib import Path
from typing import Any

import pytest

from mlpipe_dagster.stages.dataset import read_dataset
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import datasets, inbox
from mlpipe_dagster.warehouse.datasets import Upload
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.warehouse import scenes

NAMES = ("Ann Example", "Bob Sample", "Cleo Muster", "Dan Beispiel", "Eve Exemple", "Finn Ejemplo")


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    return open_warehouse()


def read(warehouse: Warehouse, folder: Path, **wishes: Any) -> str | None:
    """The body of the question that the table leads to; None where none is asked."""
    file = folder / "people.csv"
    rows = [f"{name},{name.split()[0].lower()}@example.org,{20 + number},{'yes' if number % 2 else 'no'}\n"
            for number, name in enumerate(NAMES * 10)]  # fmt: skip
    file.write_text("full_name,email,age,paid\n" + "".join(rows))
    upload = Upload(
        user_id="ann", dataset_id="people", name="People", filename=file.name, file=file, file_type="csv",
        file_size=file.stat().st_size, file_hash="0" * 32, custom_metadata={"pipeline": wishes},
    )  # fmt: skip
    version = datasets.store_upload(warehouse, upload)
    claim = scenes.claim(warehouse, Stage.DATASET, scenes.upload_event(warehouse, version))
    read_dataset(warehouse, claim, lambda _: None)
    with warehouse.reading() as session:
        found = inbox.list_questions(session, "ann", "open")
    return found[0].body if found else None


def test_the_question_shows_the_first_rows_without_who_they_are(warehouse: Warehouse, tmp_path: Path) -> None:
    body = read(warehouse, tmp_path, mode="ask")
    assert body is not None
    sentence, _, table = body.partition("\n\n")
    assert sentence.startswith("People has 60 rows and 4 columns. We would take “paid” (binary): ")
    assert table.splitlines() == [
        "| full\\_name | email | age | paid |",
        "| --- | --- | --- | --- |",
        *(f"| ••• | ••• | {20 + number} | {'yes' if number % 2 else 'no'} |" for number in range(5)),
    ]
    assert not [name for name in NAMES if name.split()[0] in body]


def test_nothing_is_shown_where_nobody_is_asked(warehouse: Warehouse, tmp_path: Path) -> None:
    assert read(warehouse, tmp_path) is None
