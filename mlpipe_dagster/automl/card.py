"""The model card: what a model is, how good it is, for whom it was checked, and how to load it, as Markdown.

Only text from what is known of the model; nothing is measured here.
"""

from collections.abc import Mapping, Sequence

from mlpipe_dagster.automl.fairness.constraint import EXPLAINED as EXPLAINED_CONSTRAINT
from mlpipe_dagster.automl.fairness.frontier import Measured
from mlpipe_dagster.automl.fairness.report import Disparity, Fairness, Figures, GroupMetrics
from mlpipe_dagster.automl.model import DataSource, Estimate, OnnxExport, TrainedModel
from mlpipe_dagster.bias.mitigation.choice import EXPLAINED
from mlpipe_dagster.bias.report import SUPPRESSED_BELOW, TOO_FEW_BELOW

MOST_DISPARITIES = 40
MOST_CLASS_ROWS = 60
OVERALL_WORDS = {
    "consistency": "Share of each row's five nearest rows that get the same answer (consistency)",
    "generalized entropy index": "How unequally errors fall on people (generalized entropy index, 0 for equally)",
}


def model_card(model: TrainedModel, libraries: Mapping[str, str]) -> str:
    """The card as Markdown, with the versions that the model was made with.

    Texts from the table are escaped: they may hold anything.
    """
    sections = (
        _head(model),
        _quality(model),
        _thresholds(model),
        _learning_curve(model),
        _groups(model),
        _mitigation(model),
        _constraint(model),
        _training(model),
        _notes(model),
        _limits(model),
        _use(model),
        _again(model, libraries),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _plain(text: str) -> str:
    """Text from a table as one line of Markdown that means nothing but itself."""
    escaped = "".join(f"\\{char}" if char in "\\`*_{}[]()#+!|<>~" else char for char in text)
    return " ".join(escaped.split())


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"


def _head(model: TrainedModel) -> str:
    spec = model.spec
    kind = "A constant guess" if model.is_constant else f"A {model.algorithm} model ({model.framework})"
    classes = f" Classes: {', '.join(_plain(label) for label in model.classes[:20])}." if model.classes else ""
    return (
        f"# Model card: {_plain(spec.target)}\n\n"
        f"{kind} that predicts “{_plain(spec.target)}” ({spec.task.value})."
        f"{classes} It reads {len(model.schema.columns)} columns and was fitted on {model.trained_rows} rows"
        f"{_source(spec.data)}."
    )


def _source(data: DataSource | None) -> str:
    if data is None:
        return ""
    rows = f" ({data.rows} rows)" if data.rows is not None else ""
    return f" of “{_plain(data.dataset_id)}”, version {data.version}{rows}, MD5 of the file {data.file_hash}"


def _quality(model: TrainedModel) -> str:
    rows = [f"| {name} | {_interval(estimate)} |" for name, estimate in model.metrics.items()]
    return "\n".join(
        [
            "## Quality",
            "",
            f"Measured on {len(model.test_rows)} rows that no fitting or selection has seen, with 95 % intervals.",
            _verdict(model),
            "",
            "| metric | test split |",
            "| --- | --- |",
            *rows,
            f"| {model.metric_name} in training | {_interval(model.training_score)} |",
            f"| {model.metric_name} in validation | {_interval(model.validation_score)} |",
            *_speed(model),
        ]
    )


def _verdict(model: TrainedModel) -> str:
    rival = f"{model.baseline_algorithm}: {model.metric_name} {_interval(model.baseline_score)}"
    if model.is_constant:
        return f"It is no model: nothing beat a constant guess, so that is what is kept (beside it, {rival})."
    own = "It is the best baseline itself. " if model.is_baseline else ""
    verdict = "beats" if model.beats_baseline else "does not beat"
    return f"{own}By {model.loss_name} it {verdict} the best {'other ' if own else ''}baseline ({rival})."


def _speed(model: TrainedModel) -> list[str]:
    if model.speed is None:
        return []
    return ["", f"Predicting takes {model.speed.one_row:.1f} ms for one row, {model.speed.many_rows:.0f} ms for "
            f"{model.speed.rows:,}, where it was trained."]  # fmt: skip


def _thresholds(model: TrainedModel) -> str:
    """Where the model's two classes may be told apart at another probability than the even one."""
    if not model.thresholds:
        return ""
    shown = [(one, [_interval(rate) if rate else "unknown" for rate in (one.recall, one.precision)])
             for one in model.thresholds]  # fmt: skip
    return "\n".join(
        [
            "## Thresholds",
            "",
            f"The model calls a row “{_plain(model.positive_class or '')}” when that is the more probable class. For "
            "other goals take another probability; each was chosen on validation rows and measured on the test split.",
            "",
            "| goal | from probability | positives found | alarms that are right | share of alarms |",
            "| --- | --- | --- | --- | --- |",
            *(f"| {one.goal} | {one.threshold:.3f} | {found} | {right} | {one.alarms:.3g} |"
              for one, (found, right) in shown),
        ]
    )  # fmt: skip


def _learning_curve(model: TrainedModel) -> str:
    curve = model.learning_curve
    if curve is None:
        return ""
    verdict = (
        "The last doubling of the rows still helped by more than chance: more rows would help."
        if curve.still_grows
        else "The last doubling of the rows hardly helped, or no more than chance can: more of them may not help."
    )
    return "\n".join(
        [
            "## Learning curve",
            "",
            f"The same settings, learnt from fewer rows and judged on the same {curve.validated_on} validation rows. "
            f"{verdict}",
            "",
            f"| rows | validation {model.metric_name} | {model.loss_name} |",
            "| --- | --- | --- |",
            *(f"| {point.rows} | {_interval(point.score)} | {point.loss:.4g} |" for point in curve.points),
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
            f"On the test split.{about} Groups of fewer than {TOO_FEW_BELOW} rows are marked: they say little. "
            f"What rests on fewer than {SUPPRESSED_BELOW} rows is not shown.",
            "",
            f"| column | group | rows | {' | '.join(names)} |",
            f"| --- | --- | --- | {' | '.join('---' for _ in names)} |",
            *(_group_row(group, names) for group in model.group_metrics),
            "",
            *_classes(model.group_metrics),
            *_disparities(model.fairness),
        ]
    )


def _group_row(group: GroupMetrics, names: list[str]) -> str:
    shown = " | ".join(_figure(group, name) for name in names)
    rows = f"fewer than {SUPPRESSED_BELOW}" if not group.rows else f"{group.rows} (few)" if group.small else group.rows
    return f"| {_plain(group.column)} | {_plain(group.group)} | {rows} | {shown} |"


def _classes(groups: Sequence[GroupMetrics]) -> list[str]:
    """Each group's results for one class after the other, where there are several."""
    found = [(group, one) for group in groups for one in group.classes]
    if not found:
        return []
    names = list(found[0][1].values)
    cut = f" The first {MOST_CLASS_ROWS} of {len(found)}: all are in the model's manifest."
    return [
        f"Each class against all others.{cut if len(found) > MOST_CLASS_ROWS else ''}",
        "",
        f"| column | group | class | {' | '.join(names)} |",
        f"| --- | --- | --- | {' | '.join('---' for _ in names)} |",
        *(
            f"| {' | '.join(map(_plain, (group.column, group.group, one.outcome)))} | "
            f"{' | '.join(_figure(one, name) for name in names)} |"
            for group, one in found[:MOST_CLASS_ROWS]
        ),
        "",
    ]


def _figure(figures: Figures, name: str) -> str:
    value = figures.values.get(name)
    if value is None:
        return "not shown"
    ends = figures.intervals.get(name)
    return f"{value:.3g} ({ends[0]:.3g} to {ends[1]:.3g})" if ends else f"{value:.3g}"


def _disparities(fairness: Fairness) -> list[str]:
    """The differences between groups that chance hardly explains; how many were looked at, where there are none."""
    lines = [
        f"{OVERALL_WORDS[one.measure]}: {_ends(one.value, one.low, one.high)}."
        for one in fairness.overall
        if one.measure in OVERALL_WORDS
    ]
    looked_at = sum(not one.too_few for one in fairness.disparities)
    if not fairness.clear:
        return [*lines, f"Of {looked_at} comparisons between groups none shows a clear difference (Holm's correction)."]
    head = [
        f"Of {looked_at} comparisons with the largest group, {len(fairness.clear)} show a clear difference: the 95 % "
        "interval leaves equality out, and so does the test after Holm's correction.",
        "",
        "| column | group | compared with | measure | value | equal | p (Holm) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return [*lines, *head, *(_disparity_row(one) for one in fairness.clear[:MOST_DISPARITIES])]


def _disparity_row(one: Disparity) -> str:
    names = " | ".join(_plain(text) for text in (one.column, one.group, one.reference))
    measure = f"{one.measure} of {_plain(one.outcome)}" if one.outcome is not None else one.measure
    return (
        f"| {names} | {measure} | {_ends(one.value, one.low, one.high)} | {one.equal:g} | {one.p_adjusted or 0:.2g} |"
    )


def _ends(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "not known" if value is None else f"{value:.3g}"
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


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


def _mitigation(model: TrainedModel) -> str:
    method, spec = model.spec.mitigation, model.spec
    if method is None:
        return ""
    columns = ", ".join(_plain(name) for name in spec.sensitive)
    dropped = f" Columns not read: {', '.join(_plain(name) for name in spec.drop)}." if spec.drop else ""
    return (
        f"## Mitigation\n\nTrained with {method.value} for the groups of {columns}: {EXPLAINED[method]}.{dropped} "
        "Rows that are validated or tested on count as they were uploaded."
    )


def _constraint(model: TrainedModel) -> str:
    """What the model's fairness constraint asks for, and what it costs."""
    frontier, constraint = model.frontier, model.spec.constraint
    if constraint is None:
        return ""
    columns = ", ".join(_plain(name) for name in model.spec.sensitive)
    asked = f"For the groups of {columns}, {constraint.title}: {EXPLAINED_CONSTRAINT[constraint.kind]}."
    head = f"## Fairness constraint\n\n{asked}"
    if frontier is None or not frontier.points:
        return f"{head} It was not held: see the notes."
    held = "It is kept on validation rows." if frontier.met else "Nothing that was tried keeps it on validation rows."
    names = ["without it" if point.strength == 0 else "taken" if point.chosen else "tried" for point in frontier.points]
    rows = [_measured(name, "validation", point) for name, point in zip(names, frontier.points, strict=True)]
    tests = {"without it": frontier.test_without, "kept": frontier.test_with}
    rows += [_measured(name, "test", measured) for name, measured in tests.items() if measured]
    return "\n".join(
        [
            f"{head} {held} It binds the more probable class of each row, so that another threshold leaves it; the "
            "intervals do not count that the best of several was taken. Every line is one model.",
            "",
            "| model | rows | largest difference | where | right answers | log loss |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _measured(name: str, rows: str, measured: Measured) -> str:
    apart, right = measured.difference, measured.accuracy
    where = f"{apart.rate}, {_plain(apart.column)}: {_plain(apart.highest)} over {_plain(apart.lowest)}"
    return (
        f"| {name} | {rows} | {_ends(apart.value, apart.low, apart.high)} | {where} | "
        f"{_ends(right.value, right.low, right.high)} | {measured.loss:.3g} |"
    )


def _notes(model: TrainedModel) -> str:
    return "\n".join(["## Notes", "", *(f"- {_plain(note)}" for note in model.notes)]) if model.notes else ""


def _limits(model: TrainedModel) -> str:
    """What the numbers of this card do not say."""
    groups = (
        "Groups were compared in the sensitive columns alone; in others it may do worse for some."
        if model.spec.sensitive
        else "No sensitive column was named or found: whether it does worse for some groups is not known."
    )
    ranges = [
        f"{_plain(column.name)} {column.minimum:g} to {column.maximum:g}"
        for column in model.schema.columns
        if column.minimum is not None and column.maximum is not None
    ]
    seen = f"Seen in training: {', '.join(ranges[:20])}. " if ranges else ""
    return (
        "## Limits\n\n"
        "It says what was usual in its table, not what causes what. The scores hold for rows that come as those of "
        "the table came; where the world or the way of measuring changes, they no longer do. "
        f"{seen}Beyond that, and for values that were not in the table, its answers were not measured. {groups}"
    )


def _again(model: TrainedModel, libraries: Mapping[str, str]) -> str:
    """How to make it anew, and with what it was made."""
    versions = ", ".join(f"{name} {number}" for name, number in libraries.items())
    trials = model.spec.trials
    promise = (
        f"It counts trials ({trials}) in place of seconds: the same table and versions give the same bits."
        if trials
        else "Its search ends by the clock, so that another training finds a similar model, not the same."
    )
    further = f" It went on from the search of version {model.spec.continues}." if model.spec.continues else ""
    return (
        f"## Made again\n\nEngine {model.spec.engine}, seed {model.spec.seed}, {versions}. {promise}{further} "
        "`mlpipe replay MODEL_ID --user-id USER` trains it again and compares."
    )


def _use(model: TrainedModel) -> str:
    columns = "\n".join(f"- {_plain(column.name)} ({column.kind})" for column in model.schema.columns[:50])
    return (
        "## Use\n\n"
        "`pip install -r requirements.txt`, then `python predict.py rows.csv --output predictions.csv`: the rows need "
        "these columns, and mlpipe need not be installed. Where it is, `mlpipe_dagster.automl.artefacts.load(folder)` "
        "checks and loads the model; its `estimator` takes a pandas DataFrame. The file is no pickle.\n\n"
        f"{_onnx(model.onnx)}{columns}"
    )


def _onnx(made: OnnxExport | None) -> str:
    if made is None or made.sha256 is None:
        return f"{made.note}\n\n" if made else ""
    return (
        "`model.onnx` is the same pipeline for other languages, one input a column: numbers (NaN where missing), truth "
        "values as 1, 0 and NaN, dates as days since 1970-01-01 UTC with their fraction, texts trimmed and “” "
        f"where missing. On {made.rows} test rows its answers are within {made.difference:.1g} of the model's "
        f"({made.tolerance:g} are allowed; of numbers, in standard deviations of the answers).\n\n"
    )
