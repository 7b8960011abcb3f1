"""The model card: what a model is, how good it is, for whom it was checked, and how to load it, as Markdown.

Only text from what is known of the model; nothing is measured here.
"""

from mlpipe_dagster.automl.model import Estimate, GroupMetrics, TrainedModel


def model_card(model: TrainedModel) -> str:
    """The card as Markdown. Texts from the table are escaped: they may hold anything."""
    sections = (_head(model), _quality(model), _groups(model), _training(model), _notes(model), _use(model))
    return "\n\n".join(section for section in sections if section) + "\n"


def _plain(text: str) -> str:
    """Text from a table as one line of Markdown that means nothing but itself."""
    escaped = "".join(f"\\{char}" if char in "\\`*_{}[]()#+!|<>~" else char for char in text)
    return " ".join(escaped.split())


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"


def _head(model: TrainedModel) -> str:
    spec = model.spec
    classes = f" Classes: {', '.join(_plain(label) for label in model.classes[:20])}." if model.classes else ""
    return (
        f"# Model card: {_plain(spec.target)}\n\n"
        f"A {model.algorithm} model ({model.framework}) that predicts “{_plain(spec.target)}” ({spec.task.value})."
        f"{classes} It reads {len(model.schema.columns)} columns and was fitted on {model.trained_rows} rows."
    )


def _quality(model: TrainedModel) -> str:
    verdict = "beats" if model.beats_baseline else "does not beat"
    rows = [f"| {name} | {_interval(estimate)} |" for name, estimate in model.metrics.items()]
    return "\n".join(
        [
            "## Quality",
            "",
            f"Measured on {len(model.test_rows)} rows that no fitting or selection has seen, with 95 % intervals.",
            f"The model {verdict} its best baseline ({model.baseline_algorithm}: {model.metric_name} "
            f"{_interval(model.baseline_score)}).",
            "",
            "| metric | test split |",
            "| --- | --- |",
            *rows,
            f"| {model.metric_name} in training | {_interval(model.training_score)} |",
            f"| {model.metric_name} in validation | {_interval(model.validation_score)} |",
        ]
    )


def _groups(model: TrainedModel) -> str:
    if not model.group_metrics:
        return ""
    names = list(model.group_metrics[0].values)
    about = f" Rates are about the class “{_plain(model.positive_class)}”." if model.positive_class else ""
    return "\n".join(
        [
            "## Groups",
            "",
            f"On the test split.{about} Groups of fewer than 30 rows are marked: their numbers say little.",
            "",
            f"| column | group | rows | {' | '.join(names)} |",
            f"| --- | --- | --- | {' | '.join('---' for _ in names)} |",
            *(_group_row(group, names) for group in model.group_metrics),
        ]
    )


def _group_row(group: GroupMetrics, names: list[str]) -> str:
    values = [group.values[name] for name in names]
    shown = " | ".join("unknown" if value is None else f"{value:.3g}" for value in values)
    rows = f"{group.rows} (few)" if group.small else str(group.rows)
    return f"| {_plain(group.column)} | {_plain(group.group)} | {rows} | {shown} |"


def _training(model: TrainedModel) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in model.parameters.items()) or "none"
    ledger = [f"| {entry.what} | {entry.seconds:.2f} | {entry.note} |" for entry in model.budget]
    return "\n".join(
        [
            "## Training",
            "",
            f"Budget {model.budget_seconds:g} s, {len(model.leaderboard)} candidates, seed {model.spec.seed}. "
            f"Settings: {parameters}. Candidates were ranked by validation {model.loss_name}.",
            "",
            "| step | seconds | remark |",
            "| --- | --- | --- |",
            *ledger,
        ]
    )


def _notes(model: TrainedModel) -> str:
    return "\n".join(["## Notes", "", *(f"- {_plain(note)}" for note in model.notes)]) if model.notes else ""


def _use(model: TrainedModel) -> str:
    columns = "\n".join(f"- {_plain(column.name)} ({column.kind})" for column in model.schema.columns[:50])
    return (
        "## Use\n\n"
        "`mlpipe_dagster.automl.artefacts.load(folder)` checks and loads the model; its `estimator` takes a pandas "
        "DataFrame with these columns. Install `requirements.txt` first. The file is no pickle.\n\n"
        f"{columns}"
    )
