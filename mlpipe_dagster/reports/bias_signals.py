"""What the bias page draws of `Signals`: charts and tables of proxies and leaks, and of gaps by group.

Numbers are only written here, never computed anew.
"""

from collections.abc import Sequence

from markupsafe import Markup

from mlpipe_dagster.bias.proxies import of_hundred
from mlpipe_dagster.bias.report import FeatureBias
from mlpipe_dagster.bias.signal_findings import power_text
from mlpipe_dagster.bias.signals import FeatureProxies, Guess, Leak
from mlpipe_dagster.reports.bias_view import Head, Rows
from mlpipe_dagster.reports.charts import Bar, bar_chart
from mlpipe_dagster.reports.wording import number_text, percent_text

MOST_BARS = 5
BLIND = "blind guess"


def proxy_title(feature: FeatureProxies) -> str:
    """What the chart of a sensitive column's proxies shows."""
    return f"How often {feature.column} is guessed right from other columns"


def proxy_chart(feature: FeatureProxies) -> Markup:
    """Bars of the strongest proxies and of all columns together, largest first, beside a blind guess; one at least."""
    told = [(proxy.column, proxy.guess) for proxy in feature.proxies[:MOST_BARS]]
    if feature.together:
        told.append((f"{feature.together_columns} columns together", feature.together))
    ranked = sorted(told, key=lambda pair: -pair[1].balanced)
    bars = [_guessed(name, guess, quiet=index > 0) for index, (name, guess) in enumerate(ranked)]
    return bar_chart(bars, title=proxy_title(feature), reference=100 * ranked[0][1].chance, reference_label=BLIND)


def _guessed(name: str, guess: Guess, *, quiet: bool) -> Bar:
    low, high = 100 * guess.balanced_low, 100 * guess.balanced_high
    return Bar(name, 100 * guess.balanced, low, high, of_hundred(guess.balanced), quiet=quiet)


def leak_title(target: str) -> str:
    """What the chart of leaks shows."""
    return f"How well a single column tells {target}"


def leak_chart(leaks: Sequence[Leak], target: str) -> Markup:
    """Bars of the strongest leaks, one at least: rows told right beside a blind guess, or the share explained."""
    ranked = sorted(leaks, key=lambda leak: -leak.power)[: 2 * MOST_BARS]
    bars = [_leaking(leak) for leak in ranked]
    blind = ranked[0].guess
    if blind is None:
        return bar_chart(bars, title=leak_title(target), reference=100.0, reference_label="everything")
    return bar_chart(bars, title=leak_title(target), reference=100 * blind.chance, reference_label=BLIND)


def _leaking(leak: Leak) -> Bar:
    quiet = leak.severity != "warning"
    if leak.guess is not None:
        return _guessed(leak.column, leak.guess, quiet=quiet)
    return Bar(leak.column, 100 * leak.power, 100 * leak.low, 100 * leak.high, percent_text(leak.power), quiet=quiet)


def gap_title(feature: FeatureBias) -> str:
    """What the chart of gaps shows; the feature has them."""
    return f"Rows without {feature.gaps.column if feature.gaps else ''} by {feature.column}"


def gap_chart(feature: FeatureBias) -> Markup:
    """Bars of the share of rows in which a column is missing, by group, largest first."""
    groups = sorted(feature.gaps.groups if feature.gaps else (), key=lambda group: -group.share)
    bars = [
        Bar(
            feature.group(group.group).label,
            100 * group.share,
            100 * group.low,
            100 * group.high,
            of_hundred(group.share),
            quiet=index > 0,
        )
        for index, group in enumerate(groups)
    ]
    return bar_chart(bars, title=gap_title(feature))


def proxy_table(feature: FeatureProxies, *, expert: bool) -> tuple[Head, Rows]:
    """One row for each proxy, strongest first, and one for all columns together."""
    head: Head = [("Column", False), ("Guessed right", True), ("Strength", False), ("Association", False)]
    head += [("Accuracy", True), ("Base rate", True), ("Rows", True)] if expert else []
    rows = []
    for proxy in feature.proxies:
        ends = f"{number_text(proxy.low)} to {number_text(proxy.high)}"
        association = f"{proxy.measure} {number_text(proxy.association)} ({ends})"
        rows.append([proxy.column, _rate(proxy.guess), proxy.strength, association, *_exact(proxy.guess, expert)])
    if feature.together:
        name = f"{feature.together_columns} columns together, none of them sensitive"
        strength = str(feature.together_strength)
        rows.append([name, _rate(feature.together), strength, "", *_exact(feature.together, expert)])
    return [*head, ("What shows it", False)], [
        [*row, why]
        for row, why in zip(rows, [*(proxy.why for proxy in feature.proxies), "boosted trees"], strict=False)
    ]


def _rate(guess: Guess) -> str:
    ends = f"{percent_text(guess.balanced_low)} to {percent_text(guess.balanced_high)}"
    return f"{percent_text(guess.balanced)} ({ends}), blindly {percent_text(guess.chance)}"


def _exact(guess: Guess, expert: bool) -> list[str]:
    if not expert:
        return []
    accuracy = f"{percent_text(guess.accuracy)} ({percent_text(guess.low)} to {percent_text(guess.high)})"
    return [accuracy, percent_text(guess.base_rate), f"{guess.rows:,}"]


def leak_table(leaks: Sequence[Leak]) -> tuple[Head, Rows]:
    """One row for each leak, most serious first."""
    head: Head = [("Column", False), ("What it is", False), ("Tells (0 to 1)", True), ("What shows it", False)]
    return head, [[leak.column, leak.kind, power_text(leak), leak.why] for leak in leaks]
