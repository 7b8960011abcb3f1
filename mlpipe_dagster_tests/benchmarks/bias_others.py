"""What other libraries make of the table of `bias.py`: `fairlearn TABLE [RESAMPLES]`, `aif360 TABLE`.

Runs by its path, in an interpreter that need not have mlpipe. Prints what it took as JSON.
"""

import json
import sys
import time
from itertools import combinations
from pathlib import Path

import pandas as pd

COLUMNS = ["sex", "race", "age"]
AGES = [-1, 24, 34, 44, 54, 64, 200]


def main(library: str, source: str, resamples: int = 0) -> None:
    """Measure and print."""
    measure = {"fairlearn": with_fairlearn, "aif360": with_aif360}[library]
    prepare = measure(resamples)
    begun, used = time.perf_counter(), time.process_time()
    frame = pd.read_parquet(source, columns=[*COLUMNS, "hired"])
    frame["age"] = pd.cut(frame["age"], AGES).astype(str)
    made = prepare(frame, (frame["hired"] == "yes").astype(int))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "made": made}))


def crossings():
    """Each column, each two and all three."""
    return [list(one) for size in (1, 2, 3) for one in combinations(COLUMNS, size)]


def with_fairlearn(resamples):
    """Rows and rate of each group, differences and ratios; with bootstrap intervals where `resamples` are asked for."""
    from fairlearn.metrics import MetricFrame, count, selection_rate

    def measure(frame, truth):
        groups = 0
        settings = {"n_boot": resamples, "ci_quantiles": [0.025, 0.975], "random_state": 1} if resamples else {}
        for columns in crossings():
            found = MetricFrame(
                metrics={"rows": count, "rate": selection_rate},
                y_true=truth,
                y_pred=truth,
                sensitive_features=frame[columns],
                **settings,
            )
            found.difference()
            found.ratio()
            groups += len(found.by_group)
        told = f"intervals of {resamples} resamples" if resamples else "no intervals"
        return f"{groups} groups, {2 * groups:,} measures, {told}"

    return measure


def with_aif360(_):
    """Four measures of each group against the rest, without intervals."""
    from aif360.sklearn.metrics import (
        class_imbalance,
        disparate_impact_ratio,
        kl_divergence,
        statistical_parity_difference,
    )

    def measure(frame, truth):
        measures, groups = (statistical_parity_difference, disparate_impact_ratio, class_imbalance, kl_divergence), 0
        for columns in crossings():
            keys = frame[columns].agg(" x ".join, axis=1) if len(columns) > 1 else frame[columns[0]]
            for group in keys.unique():
                side = keys.eq(group).map({True: "group", False: "rest"}).rename("side")
                outcome = pd.Series(truth.to_numpy(), index=pd.Index(side))
                for one in measures:
                    one(outcome, prot_attr="side", priv_group="rest")
                groups += 1
        return f"{groups} groups, {len(measures) * groups:,} measures, no intervals"

    return measure


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
