"""One example of each event, as docs/contracts.md shows them (a test compares them). No other values live here.

They follow one table, `loans` of `ada`, through its pipeline.
"""

from collections.abc import Mapping

from mlpipe_dagster.events import (
    AutomlTrigger,
    BiasReported,
    BiasTrigger,
    DatasetChanged,
    DatasetUploaded,
    Event,
    ModelUploaded,
    PipelineFailed,
    UploadedDataset,
    XaiReported,
    XaiTrigger,
)
from mlpipe_dagster.vocabulary import Level, ReportType, Stage

UPLOADED_AT = "2025-10-10T12:00:00.000000"
LOANS = UploadedDataset(
    dataset_id="loans",
    user_id="ada",
    name="Loans",
    description=None,
    version="v1",
    file_type="csv",
    original_filename="loans.csv",
    file_path="datasets/ada/loans/5f0c/loans.csv",
    file_size=33,
    columns=["income", "sex", "paid"],
    row_count=2,
    data_types={"income": "int64", "sex": "object", "paid": "object"},
    tags=[],
    custom_metadata={},
    created_at=UPLOADED_AT,
    updated_at=UPLOADED_AT,
    file_hash="3a0137def190bef6a9902a922e0549be",
)

_ALL: tuple[Event, ...] = (
    DatasetUploaded(event_id="dataset.uploaded_loans_1760097600_0f3a4a3b", timestamp=UPLOADED_AT, dataset=LOANS),
    BiasTrigger(
        dataset_id="loans",
        user_id="ada",
        timestamp="2025-10-10T12:00:01.000000",
        target_column_name="paid",
        task_type="classification",
        metadata={"dataset_id": "loans", "user_id": "ada", "version": "v1"},
        record_count=400,
    ),
    BiasReported(
        dataset_id="loans",
        user_id="ada",
        bias_report_id="0d9e0f0a3b7d4c7e9d0a0f3a4a3b7d11",
        timestamp="2025-10-10T12:00:03.000000",
        has_transformation_report=False,
        target_column_name="paid",
        task_type="classification",
    ),
    AutomlTrigger(
        dataset_id="loans",
        user_id="ada",
        timestamp="2025-10-10T12:00:04.000000",
        target_column_name="paid",
        task_type="classification",
        time_budget="60",
    ),
    ModelUploaded(
        event_id="model_uploaded_automl_loans_1760097664_9d0a0f3a",
        timestamp="2025-10-10T12:01:04.000000",
        user_id="ada",
        model_id="automl_loans",
        version="v1",
        framework="sklearn",
        model_type="classification",
        dataset_id="loans",
        algorithm="linear",
        model_size_mb=0.02,
        training_accuracy=0.91,
        validation_accuracy=0.88,
        test_accuracy=0.87,
    ),
    XaiTrigger(
        user_id="ada",
        dataset_id="loans",
        model_id="automl_loans",
        level=Level.BEGINNER,
        timestamp="2025-10-10T12:01:05.000000",
        version="v1",
    ),
    XaiReported(
        event_id="xai_reported_1b2c_1760097680_4c7e9d0a",
        timestamp="2025-10-10T12:01:20.000000",
        user_id="ada",
        dataset_id="loans",
        model_id="automl_loans",
        report_type=ReportType.MODEL,
        level=Level.BEGINNER,
        xai_report_id="1b2c",
    ),
    PipelineFailed(
        event_id="pipeline.failed_loans_1760097603_3b7d1100",
        timestamp="2025-10-10T12:00:03.000000",
        user_id="ada",
        dataset_id="loans",
        stage=Stage.DATASET,
        error_type="bad_target",
        error_message="The target column “payed” is not in the table. Did you mean “paid”?",
        run_id=None,
    ),
    DatasetChanged(
        event_type="dataset.updated",
        event_id="dataset.updated_loans_1760184000_7d110f3a",
        timestamp="2025-10-11T12:00:00.000000",
        user_id="ada",
        dataset_id="loans",
        version="v1",
        changes={"name": "Loans of 2025"},
    ),
)

EXAMPLES: Mapping[type[Event], Event] = {type(event): event for event in _ALL}
"""By contract, in the order of a pipeline."""
