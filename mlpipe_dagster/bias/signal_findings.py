"""What proxies, leaks and contradicting rows mean, in plain words: findings out of `Signals`.

Sentences only; nothing is computed from the table.
"""

from collections.abc import Iterator, Sequence

from mlpipe_dagster.bias.leakage import CONFLICT_ROWS
from mlpipe_dagster.bias.proxies import of_hundred
from mlpipe_dagster.bias.report import Finding
from mlpipe_dagster.bias.signals import FeatureProxies, Guess, Leak, LeakKind, Signals
from mlpipe_dagster.reports.wording import list_text, number_text

MOST_NAMED = 8
MANY_CONFLICTS = 0.01
"""Share of contradicting rows from which on somebody should look at them."""


def findings_of(signals: Signals, target: str) -> list[Finding]:
    """The findings, in the order in which they matter."""
    return [
        *(_leak(leak, target) for leak in signals.leaks if leak.severity == "warning"),
        *_suspects(signals.leaks, target),
        *(finding for feature in signals.features if (finding := _proxies(feature)) is not None),
        *_conflicts(signals, target),
        *_columns(signals),
    ]


def leak_sentence(columns: Sequence[str], target: str) -> str:
    """The sentence of a verdict about columns that give the target away; empty where there are none."""
    if not columns:
        return ""
    one = len(columns) == 1
    return (
        f"{named(columns)} {'gives' if one else 'give'} “{target}” away almost by {'itself' if one else 'themselves'}: "
        f"leave {'it' if one else 'them'} out unless {'it is' if one else 'they are'} known before the outcome is."
    )


def named(columns: Sequence[str]) -> str:
    """Columns in a sentence: eight by name, the others by number."""
    quoted = [f"“{column}”" for column in columns[:MOST_NAMED]]
    return list_text(quoted + ([f"{len(columns) - MOST_NAMED} more"] if len(columns) > MOST_NAMED else []))


def _leak(leak: Leak, target: str) -> Finding:
    return Finding(
        severity="warning",
        kind="leak",
        headline=f"{leak.column}: it gives “{target}” away",
        detail=leak.why,
        meaning="It may be written down when the outcome is known, or be another form of it. A model that has it looks "
        "almost perfect here and fails where the outcome is still open.",
        limits="It may also be an honest measurement that tells nearly everything: the numbers cannot say which.",
        advice="Leave such a column out unless you are sure that it is known before the outcome is.",
        column=leak.column,
    )


_SUSPECTS: dict[LeakKind, tuple[str, str]] = {
    "strong": ("Single columns tell much of “{}”", "They may be honest measurements, or known too late."),
    "named after the outcome": (
        "Columns may be written down after the outcome",
        "Their names are of things that happen when the outcome is known.",
    ),
    "orders in time": (
        "“{}” changes with time",
        "What holds in these rows may not hold later; or the date was written down when the outcome was.",
    ),
}


def _suspects(leaks: Sequence[Leak], target: str) -> Iterator[Finding]:
    for kind, (headline, meaning) in _SUSPECTS.items():
        found = [leak for leak in leaks if leak.kind == kind and leak.severity == "notice"]
        if found:
            yield Finding(
                severity="notice",
                kind="leak",
                headline=headline.format(target),
                detail=f"{named([leak.column for leak in found])}. The strongest, “{found[0].column}”: {found[0].why}",
                meaning=meaning,
                limits="That a column tells much is no fault by itself.",
                advice="Ask when each of these columns is filled in; leave out those that are known too late.",
                column=found[0].column,
            )


def guess_text(guess: Guess) -> str:
    """`85 of 100 (84 to 86); blindly 50`: each group counted alike."""
    low, high = round(100 * guess.balanced_low), round(100 * guess.balanced_high)
    return f"{of_hundred(guess.balanced)} ({low} to {high}); blindly it would be {round(100 * guess.chance)}"


def _proxies(feature: FeatureProxies) -> Finding | None:
    best = feature.proxies[0] if feature.proxies else None
    strengths = {feature.together_strength, best.strength if best else None}
    if best is None or not strengths & {"strong", "moderate"}:
        return None
    strong = "strong" in strengths
    alone = f"By “{best.column}” alone the group is guessed right for {guess_text(best.guess)}. {best.why}"
    joint = (
        f" From {feature.together_columns} other columns together: {guess_text(feature.together)}."
        if feature.together
        else ""
    )
    return Finding(
        severity="notice" if strong else "info",
        kind="proxy",
        headline=f"{feature.column}: other columns {'give it away' if strong else 'hint at it'}",
        detail=f"{alone}{joint} Each group counts alike.",
        meaning="A model can learn from them what it would have learned from the sensitive column itself.",
        limits="It does not say that a model will treat groups unequally, nor that these columns are unfit for use.",
        advice="Do not rely on leaving the sensitive column out: compare the errors of its groups after training.",
        column=feature.column,
    )


def _conflicts(signals: Signals, target: str) -> Iterator[Finding]:
    found = signals.conflicts
    if found is None:
        return
    part = found.of is not None and found.of > CONFLICT_ROWS
    which = f"these rows, the first of {found.of:,}" if part else "the rows"
    yield Finding(
        severity="notice" if found.rows >= MANY_CONFLICTS * found.looked_at else "info",
        kind="quality",
        headline="Rows contradict each other",
        detail=f"{found.rows:,} of {found.looked_at:,} rows have a twin that is alike in every column but “{target}”. "
        f"No model can be right for more than {round(found.best * found.looked_at):,} of {which}.",
        meaning="Something that decides the outcome may not be in the table, or some outcomes may be wrong.",
        limits="Chance alone makes twins differ where few columns with few values describe a row.",
        advice="Look at some of these rows: add what tells them apart, or correct their outcome.",
    )


def _columns(signals: Signals) -> Iterator[Finding]:
    for columns, headline, detail in (
        (signals.near_empty, "Columns that are nearly empty", "{} have a value in fewer than 5 of 100 rows."),
        (signals.identifiers, "Columns that tell single rows apart", "{}: a model learns nothing general from them."),
    ):
        if columns:
            yield Finding(
                severity="info", kind="quality", headline=headline, detail=detail.format(named(columns)), advice=""
            )


def power_text(leak: Leak) -> str:
    """How much a column tells, with its interval."""
    return f"{number_text(leak.power)} ({number_text(leak.low)} to {number_text(leak.high)})"
