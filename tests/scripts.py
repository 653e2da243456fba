"""Scripts, each in a process of its own: forked from one that has loaded torch and other slow libraries, nothing of ours."""

import contextlib
import multiprocessing
import os
import runpy
import sys
import traceback
from pathlib import Path

import matplotlib

ROOT = Path(__file__).resolve().parents[1]
SLOW_TO_LOAD = [
    "torch",
    "scipy.sparse.linalg",
    "scipy.integrate",
    "matplotlib.pyplot",
    "torch_geometric.data",
    "torch_geometric.nn",
]


def _run(script: str, folder: str, errors: str) -> None:
    os.chdir(folder)
    matplotlib.use("Agg")
    sys.path.insert(0, str(ROOT))
    sys.argv = [script]
    with open(errors, "w", encoding="utf-8") as stream, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        try:
            runpy.run_path(script, run_name="__main__")
        except BaseException:
            traceback.print_exc()
            raise


def run_script(script: Path, folder: Path, timeout: float = 110) -> None:
    """Run a script in a folder; AssertionError with what it printed unless it ends well in time."""
    context = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([*SLOW_TO_LOAD, "scripts"])
    errors = folder.parent / f"{folder.name}.errors"
    process = context.Process(target=_run, args=(str(script), str(folder), str(errors)))
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"{script.name} was not done after {timeout:g} s")
    assert process.exitcode == 0, errors.read_text(encoding="utf-8")[-3000:]
