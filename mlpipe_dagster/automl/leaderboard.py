"""The trials of a training as rows to read, in the Dagster UI and on the model's page."""

from mlpipe_dagster.automl.model import ParameterValue, TrainedModel, Trial


def trial_row(trial: Trial, model: TrainedModel) -> dict[str, str | float | int]:
    """What was tried, how good it was, and what it took; empty where it is not known."""
    return {
        "trial": trial.number,
        "algorithm": f"{trial.algorithm} (baseline)" if trial.baseline else trial.algorithm,
        f"validation {model.loss_name}": trial.loss,
        f"validation {model.metric_name}": "" if trial.score is None else trial.score,
        "seconds": round(trial.seconds, 2),
        "ms for 1,000 rows": "" if trial.predict_ms is None else round(trial.predict_ms, 1),
        "kB": "" if trial.size_bytes is None else round(trial.size_bytes / 1000),
        "settings": ", ".join(_setting(name, value) for name, value in trial.parameters.items()) or "none",
        "note": trial.note,
    }


def _setting(name: str, value: ParameterValue) -> str:
    return f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
