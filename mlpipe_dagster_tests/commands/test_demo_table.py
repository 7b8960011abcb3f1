"""The demo's table against the counts that UCI and the original documentation publish."""

import csv
from collections import Counter
from importlib.resources import files


def test_the_table_is_the_published_one() -> None:
    text = (files("mlpipe_dagster") / "demo" / "german_credit.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert (len(rows), len(rows[0])) == (1000, 22)
    assert Counter(row["credit"] for row in rows) == {"good": 700, "bad": 300}
    assert Counter(row["sex"] for row in rows) == {"male": 690, "female": 310}
    assert Counter(row["foreign_worker"] for row in rows) == {"yes": 963, "no": 37}
