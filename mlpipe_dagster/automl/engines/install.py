"""Installs an engine that needs an interpreter of its own, from a recipe in which every file is named by its hash.

The recipes are in `recipes/`: the lock of a Python version, and what is needed to build it.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlpipe_dagster.automl.engines.known import KNOWN, KnownEngine, home_of
from mlpipe_dagster.errors import EngineError

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """For which Python it is, and what has to be known before it begins."""

    python: str
    notice: str
    environment: dict[str, str] = field(default_factory=dict)


RECIPES_OF = {
    # 0.15.0 with scikit-learn 0.24.2: newer Pythons have no distutils of NumPy's, which it is built with
    "autosklearn": (
        Recipe("3.9", "About a minute; 450 MB."),
        Recipe(
            "3.10", "About ten minutes, since scikit-learn 0.24 is compiled (needs g++); 600 MB.", {"CFLAGS": "-O1"}
        ),
    ),
    # 1.6.3 with LightGBM, CatBoost and XGBoost for processors; nothing is built
    "autogluon": (Recipe("3.11", "About a minute; 1.1 GB."), Recipe("3.12", "About a minute; 1.1 GB.")),
}
"""For each engine the Pythons it is installed for, the first that is found here."""


def install(name: str, say: Callable[[str], None]) -> Path:
    """Install the engine of that name; returns its interpreter.

    Raises
    ------
    EngineError
        Nothing is to be installed, no fitting Python is found, or a step fails.
    """
    engine = KNOWN.get(name)
    if engine is None or not engine.interpreter:
        able = ", ".join(known.name for known in KNOWN.values() if known.interpreter)
        raise EngineError(f"“{name}” is nothing that is installed apart. Use one of: {able}.")
    recipe, python = _first_found(engine)
    say(f"{engine.title} with {python} (Python {recipe.python}). {recipe.notice}")
    return _build(engine, recipe, python, say)


def _build(engine: KnownEngine, recipe: Recipe, python: str, say: Callable[[str], None]) -> Path:
    """Beside its place first, so that what is there is always whole."""
    place = home_of(engine)
    part = place.with_name(f"part-{place.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    pip = [str(part / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    hashed = [*pip, "--no-build-isolation", "--require-hashes", "-r"]
    lock = RECIPES / f"{engine.name}-{recipe.python}.txt"
    tools = lock.with_name(f"{lock.stem}-build.txt")
    steps = [("a fresh environment", [python, "-m", "venv", str(part)])]
    steps += [("what it is built with", [*hashed, str(tools)])] if tools.exists() else []
    for what, command in [*steps, ("the engine", [*hashed, str(lock)])]:
        say(f"Installing {what} …")
        ended = subprocess.run(command, env=os.environ | recipe.environment, check=False)
        if ended.returncode:
            raise EngineError(f"Installing {what} failed: `{' '.join(command)}` ended with {ended.returncode}.")
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
    _see(engine, place / "bin" / "python")
    return place / "bin" / "python"


def _see(engine: KnownEngine, python: Path) -> None:
    """That the engine can be imported where it is now."""
    package = next(iter(engine.packages), engine.name)
    ended = subprocess.run([str(python), "-I", "-c", f"import {package}"], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise EngineError(f"{engine.title} was installed but cannot be imported: {ended.stderr.strip()[-300:]}")


def _first_found(engine: KnownEngine) -> tuple[Recipe, str]:
    for recipe in RECIPES_OF[engine.name]:
        for python in _pythons(recipe.python):
            if _is(python, recipe.python):
                return recipe, python
    wanted = " or ".join(recipe.python for recipe in RECIPES_OF[engine.name])
    raise EngineError(f"{engine.title} needs Python {wanted}, and none is found here. Install one (pyenv, uv, apt).")


def _pythons(version: str) -> Iterator[str]:
    """Where a Python of that version may be: on the path, in pyenv's and in uv's folders."""
    yield shutil.which(f"python{version}") or ""
    for folder in (Path.home() / ".pyenv" / "versions", Path.home() / ".local" / "share" / "uv" / "python"):
        for python in sorted(folder.glob(f"*{version}*/bin/python{version}")):
            yield str(python)


def _is(python: str, version: str) -> bool:
    """Whether it really runs: a shim may stand for a version that is not chosen."""
    if not python:
        return False
    asked = "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"
    ended = subprocess.run([python, "-I", "-c", asked], capture_output=True, text=True, check=False)
    return ended.returncode == 0 and ended.stdout.strip() == version
