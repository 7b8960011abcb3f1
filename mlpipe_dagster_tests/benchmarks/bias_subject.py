"""One measurement of ours for `bias.py`: `profile TABLE` writes the profile, `measure TABLE TARGET` the bias report.

Prints what it took as JSON.
"""

import json
import sys
import time
from pathlib import Path

from mlpipe_dagster.bias.measure import measure_bias
from mlpipe_dagster.tables.measure import profile
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind

TASKS = {"hired": TaskKind.BINARY, "pay": TaskKind.REGRESSION}


def peak_mib() -> float:
    """The high-water mark of this process; what its parent had does not count, as it does in `ru_maxrss`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main(what: str, source: Path, target: str = "hired") -> None:
    """Measure and print."""
    described = source.with_suffix(".json")
    known = Profile.model_validate_json(described.read_text()) if what == "measure" else None
    begun, used = time.perf_counter(), time.process_time()
    if known is None:
        described.write_text(profile(source).model_dump_json())
        made = "profile"
    else:
        report = measure_bias(source, known, target=target, task=TASKS[target], sensitive=["sex", "race", "age"])
        everything = (*report.features, *report.intersections)
        groups = sum(len(feature.groups) for feature in everything)
        measures = sum(len(feature.measures) for feature in everything)
        made = f"{groups} groups, {measures:,} measures with intervals"
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_mib(), "made": made}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
