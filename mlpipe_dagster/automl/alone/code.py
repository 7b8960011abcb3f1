"""The modules that a saved model needs to be read and asked, as one zip that Python imports from.

Found by following the imports from the program on, so that no list of them grows stale.
"""

import ast
import functools
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlpipe_dagster

PROGRAM = "mlpipe_dagster.automl.alone.program"
READ_BY_NAME = ("mlpipe_dagster.automl.calibration", "mlpipe_dagster.automl.preparation")
"""What skops imports because a saved pipeline names it."""
ROOT = Path(mlpipe_dagster.__file__).parent.parent
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
    found: set[Path] = set()
    waiting = [PROGRAM, *READ_BY_NAME]
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
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(mlpipe_dagster.__name__):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
