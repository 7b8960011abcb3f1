"""The four assets, one a stage, partitioned by dataset. Each says what it is; how it runs stands in stage_run.py."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from mlpipe_dagster.defs.checks import check_specs
from mlpipe_dagster.defs.config import BiasReportConfig, DatasetConfig, ModelConfig, StageConfig, XaiReportConfig
from mlpipe_dagster.defs.hooks import flush_outbox
from mlpipe_dagster.defs.partitions import datasets
from mlpipe_dagster.defs.stage_run import run_stage
from mlpipe_dagster.vocabulary import Stage

Results = Iterator[dg.MaterializeResult[Any]]


def stage_asset(
    kinds: set[str], deps: Sequence[dg.AssetsDefinition] = (), pool: str | None = None
) -> Callable[[Callable[..., Results]], dg.AssetsDefinition]:
    """What the four have in common: partitions, checks, the hook that lets events leave, resources."""

    def build(body: Callable[..., Results]) -> dg.AssetsDefinition:
        spec = dg.AssetSpec(
            key=body.__name__,
            description=inspect.getdoc(body),
            deps=deps,
            kinds=kinds,
            group_name="responsible_automl",
            owners=["team:mlpipe"],
            skippable=True,  # a run that does not own the work materializes nothing
        )
        return dg.multi_asset(
            name=body.__name__,
            specs=[spec],
            pool=pool,
            partitions_def=datasets,
            check_specs=check_specs(body.__name__),
            can_subset=True,  # the only form in which the checks, too, may stay out
            hooks={flush_outbox},
            required_resource_keys={"warehouse", "kafka", "stages"},
        )(body)

    return build


@stage_asset({"kafka", "duckdb", "parquet"})
def dataset(context: dg.AssetExecutionContext, config: DatasetConfig) -> Results:
    """The uploaded table, typed and profiled.

    Reads the file into Parquet, describes every column, and lets the agentic core decide what to predict.
    """
    yield from run_stage(context, Stage.DATASET, config)


@stage_asset({"kafka", "duckdb"}, deps=[dataset])
def bias_report(context: dg.AssetExecutionContext, config: BiasReportConfig) -> Results:
    """How groups of people fare in the table.

    Compares the outcome between the groups of each sensitive column, with intervals, before anything is trained.
    """
    yield from run_stage(context, Stage.BIAS, config)


@stage_asset({"kafka", "scikitlearn"}, deps=[bias_report], pool="automl")
def model(context: dg.AssetExecutionContext, config: ModelConfig) -> Results:
    """A model trained within its time budget.

    Compared with simple methods on rows it has never seen, and saved without pickle. Name another target, task or
    time budget in the run config; what is left empty stays as chosen before.
    """
    yield from run_stage(context, Stage.AUTOML, config)


@stage_asset({"kafka", "python"}, deps=[model])
def xai_report(context: dg.AssetExecutionContext, config: XaiReportConfig) -> Results:
    """Why the model answers as it does, and what its data hold.

    Two pages, one about the model and one about the data, each for beginners, intermediate readers and experts.
    """
    yield from run_stage(context, Stage.XAI, config)


ASSETS = [dataset, bias_report, model, xai_report]
CONFIGS: dict[Stage, type[StageConfig]] = {
    Stage.DATASET: DatasetConfig,
    Stage.BIAS: BiasReportConfig,
    Stage.AUTOML: ModelConfig,
    Stage.XAI: XaiReportConfig,
}
