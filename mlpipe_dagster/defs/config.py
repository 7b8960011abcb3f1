"""Run config of the four assets: the trigger's payload as described scalars, every field with a default.

A person who materializes in the UI needs to fill in nothing: what is empty is taken from the warehouse. Their fields
default to "", since Dagster's form shows only those. Nulls never appear in run config that sensors make.
"""

from typing import Any

import dagster as dg
from pydantic import Field

from mlpipe_dagster.warehouse.schema import LedgerRow


class StageConfig(dg.Config):
    """What every stage is told."""

    cause: str | None = Field(None, description="The event that asked for this work. Leave it empty: then you did.")
    version: str = Field("", description="Version of the dataset, such as v2. Empty: the latest.")
    correlation_id: str | None = Field(None, description="Follows one upload through the pipeline. Leave it empty.")
    continue_pipeline: bool = Field(
        False, description="true: the next stages follow with this result, as after an upload. false: only this one."
    )

    def payload(self) -> dict[str, Any]:
        """The trigger's own fields, without those left empty."""
        common = StageConfig.model_fields.keys()
        return {name: value for name, value in self.model_dump().items() if name not in common and value}


class DatasetConfig(StageConfig):
    """Reading needs nothing but the version."""


class BiasReportConfig(StageConfig):
    """What the bias report is about."""

    target_column_name: str = Field(
        "",
        description="Column to predict, such as income, spelt as in the table. Empty: as chosen before, else inferred.",
    )
    task_type: str = Field(
        "", description="classification, binary, multiclass or regression. Empty: inferred from the target."
    )


class ModelConfig(BiasReportConfig):
    """What to train, and for how long."""

    time_budget: str = Field("", description="How long to train: 60s, 10m or 1h; more than 0. Empty: the default.")
    engine: str = Field(
        "",
        description="Who trains: auto, portfolio, deterministic:TRIALS, flaml, autosklearn or autogluon. "
        "Empty: as chosen before.",
    )
    fairness: str = Field(
        "",
        description="A fairness constraint, such as demographic_parity:0.05, equalized_odds:0.1 or none. "
        "Empty: as chosen before.",
    )


class XaiReportConfig(StageConfig):
    """What to explain, and to whom."""

    model_id: str = Field("", description="Model to explain, such as automl_sales. Empty: the newest of this dataset.")
    model_version: str = Field("", description="Version of that model, such as v1. Empty: the latest.")
    level: str = Field("", description="For whom: beginner, intermediate or expert. Empty: as chosen before.")

    def payload(self) -> dict[str, Any]:
        """As the trigger names its fields: its `version` is the model's."""
        content = super().payload()
        if "model_version" in content:
            content["version"] = content.pop("model_version")
        return content


def run_config(op: str, config_class: type[StageConfig], row: LedgerRow) -> dict[str, Any]:
    """Run config that carries a ledger row's trigger to its run; scalars only, and no nulls."""
    payload = {("model_version" if name == "version" else name): value for name, value in row.payload.items()}
    values = {
        "cause": row.cause,
        "version": f"v{row.number}",
        "correlation_id": row.correlation_id,
        "continue_pipeline": row.continue_pipeline,
        **{name: value for name, value in payload.items() if name in config_class.model_fields},
    }
    return {"ops": {op: {"config": {name: value for name, value in values.items() if value is not None}}}}
