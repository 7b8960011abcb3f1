"""An interpreter whose `autosklearn` is a stand-in: ours, with this folder before all others."""

import sys
from pathlib import Path

FAKES = Path(__file__).parent


def stand_in(folder: Path) -> Path:
    """A program in `folder` that runs a script as the other interpreter would."""
    run = f"import runpy, sys; sys.path.insert(0, {str(FAKES)!r}); sys.argv = sys.argv[2:]; "
    (folder / "run.py").write_text(run + "runpy.run_path(sys.argv[0], run_name='__main__')")
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "$(cat {folder}/run.py)" "$@"\n')
    script.chmod(0o700)
    return script
