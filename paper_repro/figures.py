"""The papers' figures, computed again; FINDINGS.md says what they show.

python paper_repro/figures.py NAME        # without a name: lists them
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from studies import depth, energy, integrators, sparsified
from studies.study import Row, Study

from neuralpde import DataMissing

RESULTS = Path(__file__).parent / "results" / "figures"
STUDIES: dict[str, Study] = {s.name: s for s in (depth.STUDY, energy.STUDY, integrators.STUDY, sparsified.STUDY)}
DONE, DATA_MISSING = 0, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute what is not there yet of a figure, draw it, and print its numbers.

    Returns:
        0 done, 3 data missing.
    """
    given = _parser().parse_args(arguments)
    if given.name is None or given.list:
        for name, study in STUDIES.items():
            print(f"{name:14s} {study.question}")
        return DONE
    matplotlib.use("Agg")
    study = STUDIES[given.name]
    try:
        if given.quick and given.results == RESULTS:
            with tempfile.TemporaryDirectory() as folder:
                _make(study, Path(folder), given)
        else:
            _make(study, given.results, given)
    except DataMissing as error:
        print(f"{given.name}: not computed. {error}", file=sys.stderr)
        return DATA_MISSING
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="paper_repro/figures.py", description="Compute and draw a figure of FINDINGS.md.")
    parser.add_argument("name", nargs="?", choices=[*STUDIES], metavar="NAME", help=", ".join(STUDIES))
    parser.add_argument("--quick", action="store_true", help="a few small points, in seconds; nothing is kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder (default: results/figures, beside this script)")
    parser.add_argument("--draw", action="store_true", help="draw what there is, and compute nothing")
    parser.add_argument("--list", action="store_true", help="show the figures, and compute nothing")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _make(study: Study, folder: Path, given: argparse.Namespace) -> None:
    count = 0

    def tell(total: int, row: Row) -> None:
        nonlocal count
        count += 1
        if not given.quiet:
            print(f"{study.name}: computed {count} of at most {total}", file=sys.stderr, flush=True)

    rows = study.known(folder, given.quick) if given.draw else study.run(folder, given.quick, tell)
    if not rows:
        print(f"{study.name}: there are no results in {folder} to draw; without --draw they are computed", file=sys.stderr)
        return
    written = study.draw(rows, folder, given.quick)
    if not given.quiet:
        print(study.table(rows))
        for path in written:
            print(path, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
