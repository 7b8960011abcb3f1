"""What the project promises about itself: names, where Dagster may be imported, what loading it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mlpipe_dagster
from mlpipe_dagster.definitions import defs
from mlpipe_dagster.settings_table import table

PACKAGE = Path(mlpipe_dagster.__file__).parent
ROOT = PACKAGE.parent


def test_names_of_what_people_see_in_dagster() -> None:
    repository = defs.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "dataset_events",
        "bias_trigger_events",
        "bias_events",
        "automl_trigger_events",
        "automl_events",
        "xai_trigger_events",
        "xai_events",
        "sweep",
        "leftovers",
    }
    assert {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()} == {
        "dataset",
        "bias_report",
        "model",
        "xai_report",
    }
    assert {job.name for job in repository.get_all_jobs()} - {"__ASSET_JOB"} == {
        "dataset_job",
        "bias_report_job",
        "model_job",
        "xai_report_job",
        "dead_letters",
    }
    assert {check.name for check in repository.asset_graph.asset_check_keys} == {
        "no_duplicate_rows",
        "no_constant_columns",
        "target_is_complete",
        "enough_rows",
        "groups_fare_alike",
        "target_is_not_given_away",
        "beats_baseline",
        "groups_treated_alike",
        "explanation_is_stable",
        "pages_are_small",
        "score_is_plausible",
        "shap_values_add_up",
    }


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_dagster_is_imported_in_defs_only() -> None:
    outside = [path for path in PACKAGE.rglob("*.py") if "defs" not in path.parts and path.name != "definitions.py"]
    assert [str(path) for path in outside if _imports(path) & {"dagster", "dagster_aws"}] == []


def test_foreign_programs_know_nothing_of_mlpipe() -> None:
    programs = list((ROOT / "mlpipe_dagster_tests" / "foreign").glob("*.py"))
    assert len(programs) >= 6
    assert [path.name for path in programs if "mlpipe_dagster" in _imports(path)] == []
    ours = "from mlpipe_dagster_tests."
    lines = [line for path in programs for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if line.startswith(ours) and not line.startswith(f"{ours}foreign")] == []


def test_every_module_opens_with_its_charter() -> None:
    bare = [
        path for path in PACKAGE.rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert bare == []


def test_only_settings_reads_the_environment() -> None:
    readers = [
        path
        for path in PACKAGE.rglob("*.py")
        if "os.environ.get" in path.read_text(encoding="utf-8") or "getenv" in path.read_text(encoding="utf-8")
    ]
    assert [path.name for path in readers if path.name != "settings.py"] == []


@pytest.mark.parametrize("module", ["mlpipe_dagster.definitions", "mlpipe_dagster.api.app"])
def test_what_stays_up_imports_nothing_heavy(module: str) -> None:
    heavy = ("pandas", "sklearn", "shap", "lightgbm", "matplotlib", "scipy", "optuna")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_configuration_page_says_what_is_true() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == table()
