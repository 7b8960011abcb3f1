"""The grid of `make bench-automl`: tables x subjects x budgets x seeds, one cell at a time, resumed where it stopped.

`ARGS="--seconds 10 --seeds 3"` and so on; `--tables`, `--subjects` for a part; `--show` prints what there is.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from mlpipe_dagster.automl.engines.known import KNOWN
from mlpipe_dagster.bias.intervals import Z95
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.benchmarks.automl.cell import CROSS_VALIDATED, ITSELF, PLAIN
from mlpipe_dagster_tests.benchmarks.automl.tables import TABLES

TIMED = tuple(name for name, engine in KNOWN.items() if engine.trials is None)
ITSELF_FROM_SECONDS = 30
SUBJECTS = (*TIMED, ITSELF, CROSS_VALIDATED, *PLAIN)
WITHOUT_LIMIT = (CROSS_VALIDATED, *PLAIN)
PLAIN_SECONDS = 600
MUCH_WORSE = 0.01
Key = tuple[str, str, float, int]


def done(results: Path) -> dict[Key, dict[str, Any]]:
    """What the file holds, by table, subject, seconds and seed; the last line of a cell counts."""
    lines = results.read_text().splitlines() if results.exists() else []
    cells = [json.loads(line) for line in lines]
    return {(cell["table"], cell["subject"], cell["budget"], cell["seed"]): cell for cell in cells}


def losses_file(results: Path, key: Key) -> Path:
    """Where the losses of the test rows of a cell are."""
    return results.with_suffix("") / f"{' '.join(map(str, key))}.npy"


def run_cell(data: Path, key: Key, losses: Path) -> dict[str, Any]:
    """One training in a process of its own."""
    table, subject, seconds, seed = key
    command = [sys.executable, "-m", "mlpipe_dagster_tests.benchmarks.automl.cell"]
    limit = 2 * seconds + PLAIN_SECONDS
    try:
        ended = subprocess.run(
            [*command, str(data), table, subject, f"{seconds:g}", str(seed), str(losses)], capture_output=True,
            text=True, timeout=limit, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"longer than {limit:g} s"}
    lines = ended.stdout.splitlines()
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {"error": f"exit code {ended.returncode}"}
    return found


def summary(cells: list[dict[str, Any]]) -> str:
    """A Markdown table, a line a subject: means over the cells that all subjects shown have."""
    groups: dict[tuple[str, int], dict[str, dict[str, Any]]] = defaultdict(dict)
    for cell in cells:
        groups[cell["table"], cell["seed"]][cell["subject"]] = cell
    subjects = [name for name in SUBJECTS if any(name in group for group in groups.values())]
    shared = [group for group in groups.values() if all(name in group for name in subjects)]
    lines = [
        f"{len({cell['table'] for group in shared for cell in group.values()})} tables, {len(shared)} cells a subject.",
        "",
        "| subject | normalised score | mean rank | worst against the best plain one | "
        "over 1 % worse (beyond chance) | failed | overrun s | peak MB | model MB | 1 row ms | 10k rows s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = [_line(name, shared) for name in subjects]
    return "\n".join([*lines, *rows])


def _line(name: str, groups: list[dict[str, dict[str, Any]]]) -> str:
    scores, ranks, behind, beyond = [], [], [-np.inf], 0
    for group in groups:
        losses = {subject: cell.get("loss", np.inf) for subject, cell in group.items()}
        constant = next((cell["constant"] for cell in group.values() if "constant" in cell), np.nan)
        best = min(losses.values())
        scores.append(max(0.0, (constant - losses[name]) / (constant - best)) if constant > best else 0.0)
        plain = min([constant, *(losses[subject] for subject in PLAIN if subject in losses and subject != name)])
        behind.append(losses[name] / plain - 1)
        beyond += behind[-1] > MUCH_WORSE and any(
            losses[subject] == plain and _beyond_chance(group[name], group[subject])
            for subject in PLAIN
            if subject in group
        )
        ranks.append(sum(other < losses[name] for other in losses.values()) + 1)
    cells = [group[name] for group in groups]
    ok = [cell for cell in cells if "loss" in cell]

    def mean(field: str) -> str:
        return f"{np.mean([cell[field] for cell in ok]):.3g}" if ok else "-"

    over = max((cell["seconds"] - cell["budget"] for cell in ok), default=np.nan)
    shown = "-" if name in WITHOUT_LIMIT else f"{over:+.1f}"
    return (
        f"| {name} | {np.mean(scores):.3f} | {np.mean(ranks):.2f} | {max(behind):+.1%} | "
        f"{sum(it > MUCH_WORSE for it in behind)} ({beyond}) | "
        f"{len(cells) - len(ok)} | {shown} | "
        f"{mean('peak_mb')} | {mean('size_mb')} | {mean('one_row_ms')} | {mean('rows_10k_s')} |"
    )


def _beyond_chance(cell: dict[str, Any], plain: dict[str, Any]) -> bool:
    """Whether it is worse by more than 1 % by more than 1.96 standard errors of the paired difference on the test rows.

    What failed, or left no rows, counts as worse.
    """
    if not (cell["losses"].exists() and plain["losses"].exists()):
        return True
    rows, others = (np.load(it["losses"]).astype(np.float64) for it in (cell, plain))
    squared = TABLES[cell["table"]].task is TaskKind.REGRESSION
    excess = rows - (1 + MUCH_WORSE) ** (2 if squared else 1) * others
    return bool(excess.mean() > Z95 * excess.std(ddof=1) / len(excess) ** 0.5)


def main() -> None:
    """Run what is missing, then show."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--results", type=Path, default=Path(".mlpipe/bench-automl.jsonl"))
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    options.add_argument("--subjects", nargs="*", default=list(SUBJECTS), choices=SUBJECTS)
    options.add_argument("--again", action="store_true", help="run cells that failed once more")
    options.add_argument("--show", action="store_true", help="run nothing")
    given = options.parse_args()
    able = [name for name in given.subjects if name in WITHOUT_LIMIT or _is_able(name, given.seconds)]
    found = done(given.results)
    keys = [
        (table, name, given.seconds, seed) for seed in range(given.seeds) for table in given.tables for name in able
    ]
    for key in keys:
        if given.show or (key in found and not (given.again and "error" in found[key])):
            continue
        losses = losses_file(given.results, key)
        losses.parent.mkdir(parents=True, exist_ok=True)
        cell = dict(zip(("table", "subject", "budget", "seed"), key, strict=True)) | run_cell(given.data, key, losses)
        found[key] = cell
        print(json.dumps(cell), flush=True)
        with given.results.open("a") as file:
            file.write(json.dumps(cell) + "\n")
    shown = [found[key] | {"losses": losses_file(given.results, key)} for key in keys if key in found]
    print(f"\n{given.seconds:g} s\n\n{summary(shown)}")


def _is_able(name: str, seconds: float) -> bool:
    """Whether an engine is installed and its least budget reached; says so where not."""
    engine = KNOWN["autogluon" if name == ITSELF else name]
    if engine.is_installed() and seconds >= (ITSELF_FROM_SECONDS if name == ITSELF else engine.smallest_budget):
        return True
    print(
        f"without {name}: {'needs more seconds' if engine.is_installed() else f'not installed ({engine.installing})'}"
    )
    return False


if __name__ == "__main__":
    main()
