"""The tables with a target that are looked for in `../shared/data`, and how each is read."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlpipe_dagster.vocabulary import TaskKind


@dataclass(frozen=True)
class BenchTable:
    """A published table, its target, and what is left out: other targets, and columns known only after them."""

    name: str
    file: str
    target: str
    task: TaskKind
    drop: tuple[str, ...] = ()

    def read(self, folder: Path) -> pd.DataFrame:
        """The table with its target, no row without one, each column name once."""
        table = pd.read_csv(folder / self.file, low_memory=False)
        table = table.loc[:, ~table.columns.duplicated()].drop(columns=list(self.drop))
        return table[table[self.target].notna()].reset_index(drop=True)


TABLES = {
    table.name: table
    for table in (
        BenchTable("breast_cancer", "breast_cancer.csv", "target", TaskKind.BINARY),
        BenchTable("titanic", "titanic.csv", "Survived", TaskKind.BINARY),
        BenchTable("german_credit", "german_credit.csv", "credit", TaskKind.BINARY),
        BenchTable("student_por", "student_por.csv", "class", TaskKind.BINARY, ("G1", "G2")),
        BenchTable("telco_churn", "telco_churn.csv", "Churn", TaskKind.BINARY),
        BenchTable("adult", "adult.csv", "income", TaskKind.BINARY, ("split",)),
        BenchTable("bank_marketing", "bank_marketing.csv", "y", TaskKind.BINARY, ("duration",)),
        BenchTable("law_school", "law_school.csv", "zfygpa", TaskKind.REGRESSION),
        BenchTable("wine_quality", "wine_quality.csv", "quality", TaskKind.MULTICLASS),
        BenchTable("california_housing", "california_housing.csv", "median_house_value", TaskKind.REGRESSION),
        BenchTable("diabetes_130us", "diabetes_130us.csv.gz", "readmitted", TaskKind.MULTICLASS),
        BenchTable("covertype_sample", "covertype_sample.csv.gz", "Cover_Type", TaskKind.MULTICLASS),
    )
}
