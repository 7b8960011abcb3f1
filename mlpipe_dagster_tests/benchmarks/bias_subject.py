"""One measurement of ours for `bias.py`; prints what it took as JSON.

`profile TABLE` writes the profile, `measure TABLE TARGET` makes the bias report, `groups TABLE` only its measures of
groups, without proxies, leaks and contradictions: what other libraries compute, and more.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import lightgbm  # noqa: F401 -- imports are not counted

from mlpipe_dagster.bias import groups
from mlpipe_dagster.bias.comparison import compare_features, compare_intersections, count_table
from mlpipe_dagster.bias.measure import measure_bias
from mlpipe_dagster.bias.reading import read_target, settled
from mlpipe_dagster.bias.report import FeatureBias
from mlpipe_dagster.bias.sensitive import SensitiveColumn
from mlpipe_dagster.tables.duck import connect
from mlpipe_dagster.tables.measure import profile
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind

TASKS = {"hired": TaskKind.BINARY, "pay": TaskKind.REGRESSION}
SENSITIVE = ("sex", "race", "age")
CROSSED = ((0, 1), (0, 2), (1, 2), (0, 1, 2))


def peak_mib() -> float:
    """The high-water mark of this process; what its parent had does not count, as it does in `ru_maxrss`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def groups_alone(source: Path, known: Profile, target: str) -> tuple[FeatureBias, ...]:
    """Every measure of every group and intersection, with intervals and tests."""
    columns = [SensitiveColumn(name, "age" if name == "age" else "named", "") for name in SENSITIVE]
    with connect(allowed=[source]) as connection:
        table = groups.open_table(connection, source)
        read = read_target(table, target, TASKS[target])
        labels = {one.column: groups.label_groups(table, one.column, one.kind) for one in columns}
        counted = count_table(table, known, read, labels, CROSSED)
    read = settled(read, counted.cube.tally(()), counted.row_count, None)
    features = compare_features(read, counted, columns, {})
    return *features, *compare_intersections(read, counted, features)


def said(features: Sequence[FeatureBias]) -> str:
    """How much was computed."""
    measures = sum(len(feature.measures) for feature in features)
    return f"{sum(len(feature.groups) for feature in features)} groups, {measures:,} measures with intervals"


def main(what: str, source: Path, target: str = "hired") -> None:
    """Measure and print."""
    described = source.with_suffix(".json")
    known = None if what == "profile" else Profile.model_validate_json(described.read_text())
    begun, used = time.perf_counter(), time.process_time()
    if known is None:
        described.write_text(profile(source).model_dump_json())
        made = "profile"
    elif what == "groups":
        made = said(groups_alone(source, known, target))
    else:
        report = measure_bias(source, known, target=target, task=TASKS[target], sensitive=SENSITIVE)
        made = said((*report.features, *report.intersections)) + ", proxies, leaks"
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_mib(), "made": made}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
