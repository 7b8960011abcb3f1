"""The modules that a saved model needs to be read and asked, as one zip that Python imports from.

Found by following the imports from the program on, so that no list of them grows stale.
"""

import functools
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlpipe_dagster

PROGRAM = "mlpipe_dagster.automl.alone.program"
ELSEWHERE = "mlpipe_dagster.automl.engines."
"""What asks an interpreter of its own: its models are not predicted alone."""
ROOT = Path(mlpipe_dagster.__file__).parent.parent
IMPORT = re.compile(r"^\s*from (mlpipe_dagster[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)
"""As all modules here are written; parsing them would take a noticeable part of a short budget."""
THE_SAME_DATE = (1980, 1, 1, 0, 0, 0)  # the same code is the same zip


@functools.cache
def code_zip() -> bytes:
    """The zip; the same bytes for the same version of mlpipe."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(needed_files()):
            entry = zipfile.ZipInfo(path.relative_to(ROOT).as_posix(), THE_SAME_DATE)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()


def needed_files() -> set[Path]:
    """The sources of the program and of every module of mlpipe that it imports, directly or not."""
    from mlpipe_dagster.automl.artefacts import TRUSTED_TYPES

    found: set[Path] = set()
    named = {name.rpartition(".")[0] for name in TRUSTED_TYPES if name.startswith(f"{mlpipe_dagster.__name__}.")}
    waiting = [PROGRAM, *(name for name in named if not name.startswith(ELSEWHERE))]  # skops imports what is named
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if path and path not in found:
            found.add(path)
            waiting += [name.rpartition(".")[0], *_imported(path)]
    return found


def _source(module: str) -> Path | None:
    """None for what is no module, such as a name that was imported from one."""
    place = ROOT / module.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _imported(path: Path) -> Iterator[str]:
    for module, names in IMPORT.findall(path.read_text(encoding="utf-8")):
        yield module
        yield from (f"{module}.{name}" for name in re.findall(r"\w+", names))
