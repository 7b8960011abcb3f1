"""The one picture of a training: validation scores over time, against the baseline and the final test score.

A stand-alone SVG that reads on white and on dark. No plotting library, nothing loaded from anywhere.
"""

from collections.abc import Callable, Iterable
from html import escape

from mlpipe_dagster.automl.model import CONSTANT_NAME, TrainedModel, Trial

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 44, 90
INK, QUIET, TRIAL, BEST, BASELINE, TEST = "#1b2026", "#525c66", "#9aa5b1", "#2f80d0", "#b35f00", "#1f7a44"
LOWEST_R2 = -0.25
"""Of trials that are worse than a constant guess by far."""


def score_plot(model: TrainedModel) -> str:
    """SVG of 480 x 270: a dot for each trial, the leading one as a line, baseline and test score across.

    A constant guess, and what is worse, would flatten the picture: they are drawn at its lower edge.
    """
    trials = sorted((trial for trial in model.leaderboard if trial.score is not None), key=lambda one: one.finished_at)
    constant = max((_score(trial) for trial in trials if trial.algorithm == CONSTANT_NAME), default=LOWEST_R2)
    scores = [_score(trial) for trial in trials if _score(trial) > constant]
    low, high = _range([*scores, model.baseline_score.value, model.test_score.value])
    seconds = max((trial.finished_at for trial in trials), default=1.0) or 1.0

    def x(second: float) -> float:
        return LEFT + second / seconds * (WIDTH - LEFT - RIGHT)

    def y(score: float) -> float:
        place = (min(max(score, low), high) - low) / (high - low)
        return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)

    dots = "".join(_dot(x(trial.finished_at), y(_score(trial)), trial) for trial in trials)
    best = " ".join(f"{x(second):.1f},{y(score):.1f}" for second, score in _best_so_far(trials))
    title = f"{model.metric_name[:1].upper()}{model.metric_name[1:]} of {len(trials)} trials in {seconds:.1f} s"
    parts = [
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6" fill="#ffffff" stroke="#cdd4db"/>',
        f'<text x="14" y="25" font-size="14" font-weight="600" fill="{INK}">{escape(title)}</text>',
        _axes(low, high, seconds, y),
        _level(y(model.baseline_score.value), BASELINE, "4 3"),
        _level(y(model.test_score.value), TEST, "1 0"),
        dots,
        f'<polyline points="{best}" fill="none" stroke="{BEST}" stroke-width="1.8"/>',
        _legend(model),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'class="chart" role="img" font-family="system-ui, sans-serif" font-size="11.5"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )


def _score(trial: Trial) -> float:
    """Of a trial that has one: those that an engine tells of itself have none and are not drawn."""
    return trial.score if trial.score is not None else LOWEST_R2


def _range(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    low, high = min(found), max(found)
    margin = 0.06 * (high - low) or 0.05
    return low - margin, high + margin


def _best_so_far(trials: list[Trial]) -> list[tuple[float, float]]:
    """A step for each trial that has the lowest loss so far: its moment and its score. Abandoned ones do not count."""
    steps: list[tuple[float, float]] = []
    lowest = float("inf")
    for trial in trials:
        if trial.loss < lowest and not trial.note.startswith("abandoned"):
            if steps:
                steps.append((trial.finished_at, steps[-1][1]))
            lowest = trial.loss
            steps.append((trial.finished_at, _score(trial)))
    if steps:
        steps.append((trials[-1].finished_at, steps[-1][1]))
    return steps


def _dot(x: float, y: float, trial: Trial) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{TRIAL}"><title>{_hint(trial)}</title></circle>'


def _hint(trial: Trial) -> str:
    return escape(
        f"{trial.number}. {trial.algorithm}: {_score(trial):.4g} after {trial.finished_at:.1f} s {trial.note}".strip()
    )


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = QUIET) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _level(y: float, colour: str, dashes: str, start: float = LEFT, end: float = WIDTH - RIGHT) -> str:
    return (
        f'<line x1="{start}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="1.8" '
        f'stroke-dasharray="{dashes}"/>'
    )


def _axes(low: float, high: float, seconds: float, y: Callable[[float], float]) -> str:
    bottom = HEIGHT - BOTTOM
    lines = f'<path d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="{QUIET}"/>'
    marks = [low + (high - low) * share for share in (0.1, 0.5, 0.9)]
    labels = "".join(_text(LEFT - 6, y(mark) + 4, f"{mark:.3f}", "end") for mark in marks)
    ends = _text(LEFT, bottom + 16, "0 s") + _text(WIDTH - RIGHT, bottom + 16, f"{seconds:.1f} s", "end")
    return lines + labels + ends


def _legend(model: TrainedModel) -> str:
    """What the lines and dots are, each in its own row under the axis."""
    name = model.metric_name
    entries = (
        (BEST, "1 0", f"leading trial by {model.loss_name}, on validation rows; each dot is a trial"),
        (TEST, "1 0", f"the final model: test {name} {model.test_score.value:.3f}"),
        (BASELINE, "4 3", f"best simple method: baseline {model.baseline_algorithm} {model.baseline_score.value:.3f}"),
    )
    rows = ((HEIGHT - 50 + 18 * index, *entry) for index, entry in enumerate(entries))
    return "".join(_level(y - 4, colour, dashes, 14, 44) + _text(LEFT, y, text) for y, colour, dashes, text in rows)
