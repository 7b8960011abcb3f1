"""The asset checks: what deserves a look. Their results come with the materialization; the stages compute them."""

import dagster as dg

from mlpipe_dagster.defs.partitions import datasets

CHECKS: dict[str, dict[str, str]] = {
    "dataset": {
        "no_duplicate_rows": "No row appears twice.",
        "no_constant_columns": "Every column has at least two values.",
        "target_is_complete": "The target column is there and filled in every row.",
        "enough_rows": "There are enough rows to say something about new cases.",
    },
    "bias_report": {"groups_fare_alike": "No group's outcome differs from the rest by more than the threshold."},
    "model": {"beats_baseline": "The model is better than the best baseline on rows neither has seen."},
    "xai_report": {"shap_values_add_up": "Base value plus SHAP values give the model's own output."},
}


def check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """The checks of an asset. With partitions, so that one dataset's result does not overwrite another's."""
    return [
        dg.AssetCheckSpec(name=name, asset=asset, description=description, partitions_def=datasets)
        for name, description in CHECKS[asset].items()
    ]
