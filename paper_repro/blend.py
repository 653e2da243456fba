"""B. Chamberlain, J. Rowbottom, D. Eynard, F. Di Giovanni, X. Dong, M. Bronstein, Beltrami flow and neural diffusion on
graphs (2021).

python paper_repro/blend.py --dataset cora --splits 10 --seeds 2
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from claims import Cell, Claim, Paper, row, unpublished
from running import reproduce

DATA = ("cora", "citeseer", "pubmed", "cs", "computers", "photo")


def _random(model: str, *cells: Cell) -> list[Claim]:
    return row("random", model, dict(zip(DATA, cells, strict=True)), ("development",), 100, "[mem]")


CLAIMS = [
    *_random("BLEND", (84.8, 0.9), (75.9, 1.3), (79.5, 1.4), (92.9, 0.2), (86.9, 0.6), (92.9, 0.6)),
    Claim("random", "ogbn-arxiv", "BLEND", 72.56, 0.1, "time", 20, "[mem]"),
    *_random("BLEND-kNN", (82.5, 0.9), (73.4, 0.5), (80.9, 0.7), (92.3, 0.1), (86.7, 0.6), (93.5, 0.3)),
    *(claim for model in ("GCN", "GAT", "MLP") for claim in unpublished("random", model, DATA, ("development",))),
]

PAPER = Paper(
    "blend",
    "B. Chamberlain, J. Rowbottom, D. Eynard, F. Di Giovanni, X. Dong, M. Bronstein, Beltrami flow and neural diffusion on "
    "graphs (2021)",
    CLAIMS,
    {"random": "Random splits of the largest component (ogbn-arxiv: by time)"},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cells of the paper's table; see --help."""
    return reproduce(PAPER, arguments)


if __name__ == "__main__":
    sys.exit(main())
