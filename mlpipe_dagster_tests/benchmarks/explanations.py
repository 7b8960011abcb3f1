"""`make bench-xai`: seconds and memory of a whole explanation, beside plain shap, explainerdashboard and dalex.

    make bench-xai ARGS=--short                    small tables only
    make bench-xai ARGS="--venv /path/to/venv"     with the others, from a virtual environment that has them

Each measurement is a process of its own. The others get the same LightGBM model and the same encoded rows, and do those
of our parts that they have; what is not installed is skipped with the reason.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SEED = 0
TREES = 200
EXPLAINED = 5_000


@dataclass(frozen=True)
class Case:
    """A table: rows x columns, and how many classes there are to tell apart (0: a number is predicted)."""

    rows: int
    columns: int
    classes: int
    beside: bool = False
    """Also measured with the libraries of `--venv`."""

    @property
    def name(self) -> str:
        """As the tables show it."""
        what = f"{self.classes} classes" if self.classes else "a number"
        return f"{self.rows:,} x {self.columns}, {what}"


SHORT = (Case(2_000, 20, 2, beside=True), Case(10_000, 20, 2, beside=True))
FULL = (
    *SHORT,
    Case(100_000, 50, 2, beside=True),
    Case(30_000, 50, 2),
    Case(10_000, 200, 2),
    Case(10_000, 2_000, 2),
    Case(10_000, 20, 5, beside=True),
    Case(10_000, 20, 20),
    Case(100_000, 50, 0),
)
RIVALS = ("shap", "explainerdashboard", "dalex")
PATIENCE = 60.0
"""Seconds for one of the other libraries, imports and fitting included."""


def table_of(case: Case) -> pd.DataFrame:
    """Numbers, every fifth column a category; the target follows four of them, two of which work together."""
    draw = np.random.default_rng(SEED)
    made: dict[str, Any] = {f"n{at}": draw.normal(size=case.rows) for at in range(case.columns)}
    for at in range(4, case.columns, 5):
        made[f"n{at}"] = draw.choice(["red", "green", "blue", "grey"], case.rows)
    value = 2 * made["n0"] + made["n1"] * made["n2"] + draw.normal(size=case.rows) * 0.5
    made["target"] = value
    if case.classes:
        edges = np.quantile(value, np.linspace(0, 1, case.classes + 1)[1:-1])
        made["target"] = np.array([f"class {code}" for code in np.digitize(value, edges)])
    return pd.DataFrame(made)


def measure_ours(case: Case, folder: Path) -> dict[str, float]:
    """The whole explanation with its pages; encoded rows and model are left in `folder` for the others."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    from mlpipe_dagster.reports.explanations import render_model_explanation
    from mlpipe_dagster.vocabulary import Level, TaskKind
    from mlpipe_dagster.xai.explain import explain_model
    from mlpipe_dagster_tests.xai.models import trained

    table = table_of(case)
    task = TaskKind.REGRESSION if not case.classes else TaskKind.BINARY if case.classes == 2 else TaskKind.MULTICLASS
    kind = LGBMClassifier if case.classes else LGBMRegressor
    model = trained(table, "target", task, kind(n_estimators=TREES, verbose=-1, n_jobs=1))
    started = time.perf_counter()
    found = explain_model(model, table)
    seconds = time.perf_counter() - started
    for level in Level:
        render_model_explanation(found, level, {})
    pages = time.perf_counter() - started - seconds
    rows = table.iloc[list(model.test_rows)[:EXPLAINED]]
    np.save(folder / "features.npy", np.asarray(model.estimator[:-1].transform(rows), dtype=np.float64))
    np.save(folder / "target.npy", rows["target"].to_numpy(dtype=str if case.classes else float))
    model.estimator[-1].booster_.save_model(folder / "model.txt")
    return {"seconds": seconds, "pages": pages, "rows": found.method.explained_rows, "megabytes": _peak()}


def measure_shap(folder: Path) -> dict[str, float]:
    """SHAP values of the same rows, by shap itself."""
    import lightgbm
    import shap

    features, booster = np.load(folder / "features.npy"), lightgbm.Booster(model_file=folder / "model.txt")
    started = time.perf_counter()
    shap.TreeExplainer(booster).shap_values(features)
    return {"seconds": time.perf_counter() - started, "rows": len(features), "megabytes": _peak()}


def measure_explainerdashboard(folder: Path) -> dict[str, float]:
    """SHAP values, permutation importance, partial dependence of six columns, thresholds, by explainerdashboard."""
    from explainerdashboard import ClassifierExplainer, RegressionExplainer

    model, features, target = _refitted(folder)
    kind = ClassifierExplainer if hasattr(model, "classes_") else RegressionExplainer
    started = time.perf_counter()
    explainer = kind(model, features, target)
    for name in explainer.get_mean_abs_shap_df()["Feature"][:6]:
        explainer.get_pdp_df(name) if hasattr(explainer, "get_pdp_df") else explainer.pdp_df(name)
    explainer.get_permutation_importances_df()
    return {"seconds": time.perf_counter() - started, "rows": len(features), "megabytes": _peak()}


def measure_dalex(folder: Path) -> dict[str, float]:
    """Permutation importance, partial dependence, ALE of six columns, and SHAP values of three rows, by dalex."""
    import dalex

    model, features, target = _refitted(folder)
    codes = pd.Series(pd.factorize(target)[0]) if hasattr(model, "classes_") else target
    started = time.perf_counter()
    explainer = dalex.Explainer(model, features, codes, verbose=False)
    explainer.model_parts(B=3, N=1_000)
    names = list(features.columns[:6])
    for kind in ("partial", "accumulated"):
        explainer.model_profile(type=kind, variables=names, N=200, verbose=False)
    for row in range(3):
        explainer.predict_parts(features.iloc[[row]], type="shap", B=24)
    return {"seconds": time.perf_counter() - started, "rows": len(features), "megabytes": _peak()}


def _refitted(folder: Path) -> tuple[Any, pd.DataFrame, Any]:
    """A scikit-learn model of the same size on the same encoded rows: the others take no bare booster."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    features = pd.DataFrame(np.load(folder / "features.npy"))
    features.columns = [f"f{at}" for at in range(features.shape[1])]
    target = np.load(folder / "target.npy")
    kind = LGBMRegressor if target.dtype.kind == "f" else LGBMClassifier
    codes = target if target.dtype.kind == "f" else pd.factorize(target, sort=True)[0]
    return kind(n_estimators=TREES, verbose=-1, n_jobs=1).fit(features, codes), features, pd.Series(codes)


MEASURES = {
    "shap": measure_shap,
    "explainerdashboard": measure_explainerdashboard,
    "dalex": measure_dalex,
}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _apart(python: Path, what: str, case: Case, folder: Path, patience: float | None = None) -> dict[str, float] | str:
    """What a process of its own measured, or why it could not within `patience` seconds."""
    arguments = ["--measure", what, str(case.rows), str(case.columns), str(case.classes), str(folder)]
    try:
        ended = subprocess.run(
            [python, __file__, *arguments], capture_output=True, text=True, check=False, timeout=patience
        )
    except subprocess.TimeoutExpired:
        return f"not done after {patience:g} s"
    if ended.returncode:
        lines = ended.stderr.strip().splitlines()
        return lines[-1] if lines else f"exit code {ended.returncode}"
    found: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def run(cases: tuple[Case, ...], venv: Path | None, patience: float) -> None:
    """Measure and print a table."""
    print(f"{'table':34} {'who':20} {'seconds':>8} {'MB':>7} {'SHAP rows':>9}")
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="mlpipe-") as name:
            for who in ("mlpipe", *(RIVALS if case.beside else RIVALS[:1])):
                ours = who in ("mlpipe", "shap")
                if not ours and venv is None:
                    print(f"{case.name:34} {who:20} skipped: no --venv that has it")
                    continue
                python = Path(sys.executable) if ours or venv is None else venv / "bin" / "python"
                found = _apart(python, who, case, Path(name), None if ours else patience)
                if isinstance(found, str):
                    print(f"{case.name:34} {who:20} skipped: {found}")
                    continue
                numbers = f"{found['seconds']:8.1f} {found['megabytes']:7.0f} {found['rows']:9,.0f}"
                print(f"{case.name:34} {who:20} {numbers}", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="small tables only")
    parser.add_argument("--venv", type=Path, help="virtual environment with lightgbm, explainerdashboard and dalex")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds for one of the others (60)")
    parser.add_argument("--case", nargs=3, type=int, metavar=("ROWS", "COLUMNS", "CLASSES"), help="one table only")
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        what, rows, columns, classes, folder = asked.measure
        case = Case(int(rows), int(columns), int(classes))
        found = measure_ours(case, Path(folder)) if what == "mlpipe" else MEASURES[what](Path(folder))
        print(json.dumps(found))
        return
    cases = (Case(*asked.case, beside=True),) if asked.case else SHORT if asked.short else FULL
    run(cases, asked.venv, asked.patience)


if __name__ == "__main__":
    main()
