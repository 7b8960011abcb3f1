"""The asset checks: what deserves a look. Their results come with the materialization; the stages compute them."""

import dagster as dg

from mlpipe_dagster.defs.partitions import datasets

CHECKS: dict[str, dict[str, str]] = {
    "dataset": {
        "no_duplicate_rows": "No row is the same as an earlier one in every column.",
        "no_constant_columns": "Every column has at least two values; one with a single value teaches a model nothing.",
        "target_is_complete": "The column to predict is there, and filled in every row.",
        "enough_rows": "There are enough rows (50) to say something about new cases.",
    },
    "bias_report": {
        "groups_fare_alike": "No group of people clearly fares differently. Where one does, open the report: "
        "whether that is unfair is for people to judge.",
        "target_is_not_given_away": "No column all but says the target by itself. Where one does, a model may rest on "
        "what is known only afterwards: leave the column out, or make sure that it is known in time.",
    },
    "model": {
        "beats_baseline": "On rows it has never seen, the model is better than simple methods (the same answer for "
        "every row, a linear model). Where it is not, more rows, other columns or more time may help.",
        "groups_treated_alike": "On rows it has never seen, the model clearly treats no group of people differently: "
        "it is right, wrong and favourable as often for each. Where it does not, read the groups in the model card.",
    },
    "xai_report": {
        "shap_values_add_up": "The influences of the columns (SHAP values) add up to the model's own output.",
        "explanation_is_stable": "Most of the leading columns lead as well when the model is fitted anew, on resampled "
        "rows with another seed.",
        "pages_are_small": "Each page is one file of at most 3 MB.",
        "score_is_plausible": "The test score is not almost perfect, as it is where a column holds the answer.",
    },
}


def check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """The checks of an asset. With partitions, so that one dataset's result does not overwrite another's."""
    return [
        dg.AssetCheckSpec(name=name, asset=asset, description=description, partitions_def=datasets)
        for name, description in CHECKS[asset].items()
    ]
