"""T. K. Rusch, B. Chamberlain, J. Rowbottom, S. Mishra, M. Bronstein, Graph-coupled oscillator networks (2022).

python paper_repro/graphcon.py --table heterophilic --dataset texas --splits 10 --seeds 2
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from claims import Cell, Claim, Paper, row, unpublished
from running import reproduce

PLANETOID = ("cora", "citeseer", "pubmed")
WEBKB = ("texas", "wisconsin", "cornell")


def _homophilic(model: str, *cells: Cell, mark: str = "") -> list[Claim]:
    return row("homophilic", model, dict(zip(PLANETOID, cells, strict=True)), ("development",), 5, mark)


def _heterophilic(model: str, *cells: Cell, mark: str = "", std_mark: str = "") -> list[Claim]:
    return row("heterophilic", model, dict(zip(WEBKB, cells, strict=True)), ("geom-gcn",), 10, mark, std_mark)


CLAIMS = [
    *_homophilic("GraphCON-GCN", (81.9, 1.7), (72.9, 2.1), (78.8, 2.6), mark="[M]"),
    *_homophilic("GraphCON-GAT", (83.2, 1.4), (73.2, 1.8), (79.5, 1.8), mark="[M]"),
    *_homophilic("GraphCON-Tran", (84.2, 1.3), (74.2, 1.7), (79.4, 1.3)),
    *_homophilic("GraphCON-Tran, released form", (84.2, 1.3), (74.2, 1.7), (79.4, 1.3)),
    *_homophilic("GCN", (81.5, 1.3), (71.9, 1.9), (77.8, 2.9)),
    *_homophilic("GAT", (81.8, 1.3), (71.4, 1.9), (78.7, 2.3)),
    *unpublished("homophilic", "MLP", PLANETOID, ("development",)),
    *_heterophilic("GraphCON-GCN", (85.4, 4.2), (87.8, 3.3), (84.3, 4.8), std_mark="[M]"),
    *_heterophilic("GraphCON-GAT", (82.2, 4.7), (85.7, 3.6), (83.2, 7.0), mark="[M]"),
    *_heterophilic("GCN", (55.1, 5.2), (51.8, 3.1), (60.5, 5.3)),
    *_heterophilic("GAT", (52.2, 6.6), (49.4, 4.1), (61.9, 5.1)),
    *_heterophilic("MLP", (80.8, 4.8), (85.3, 3.3), (81.9, 6.4)),
    Claim("mnist", "mnist-superpixels", "GraphCON-GCN", 98.68, None, "graphs", 1, "[M]"),
    Claim("mnist", "mnist-superpixels", "GraphCON-GAT", 98.91, None, "graphs", 1),
    Claim("ppi", "ppi", "GraphCON-GCN", 99.6, None, "graphs", 1, unit="% (micro F1)"),
    Claim("ppi", "ppi", "GraphCON-GAT", 99.4, None, "graphs", 1, unit="% (micro F1)"),
    Claim("zinc", "zinc", "GraphCON-GCN", 0.214, 0.004, "graphs", 1, "[M]", unit="(mean absolute error)"),
    Claim("zinc", "zinc", "GraphCON-GAT", 0.22, None, "graphs", 1, "[M]", unit="(mean absolute error)"),
]

PAPER = Paper(
    "graphcon",
    "T. K. Rusch, B. Chamberlain, J. Rowbottom, S. Mishra, M. Bronstein, Graph-coupled oscillator networks (2022)",
    CLAIMS,
    {
        "homophilic": "Citation graphs, random splits",
        "heterophilic": "WebKB",
        "mnist": "MNIST superpixels, 75 nodes",
        "ppi": "PPI",
        "zinc": "ZINC, 12,000 graphs",
    },
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cells of the paper's tables; see --help."""
    return reproduce(PAPER, arguments)


if __name__ == "__main__":
    sys.exit(main())
