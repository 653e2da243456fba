"""Pairs of different graphs that colour refinement takes for the same."""

from __future__ import annotations

import torch

from ..graph import Graph


def wl_pairs() -> dict[str, tuple[Graph, Graph]]:
    """Well-known pairs that 1-WL, and so message passing from a constant state, cannot tell apart.

    What does tell them apart:

    - "hexagon and two triangles": their spectra, and so heat traces; components; triangles.
    - "K33 and the prism": spectra (only K33 is bipartite); triangles.
    - "decalin and bicyclopentyl", two hexagons that share an edge and two pentagons joined by one: spectra, rings; not
      the clique complex, there are no triangles.
    - "rook and Shrikhande", strongly regular with the same parameters (16, 6, 2, 2): not spectra, heat traces or triangles;
      the clique complex (only the rook's graph has 4-cliques) and rings without chords.

    Returns:
        name -> two graphs, of as many nodes and edges.

    Reference: V. Arvind, J. Koebler, G. Rattan, O. Verbitsky, On Weisfeiler-Leman invariance (2020); S. Shrikhande, The
    uniqueness of the L2 association scheme (1959); C. Bodnar et al., Weisfeiler and Lehman go cellular (2021).
    """
    return {
        "hexagon and two triangles": (Graph.ring(6), _graph([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)])),
        "K33 and the prism": (
            _graph([(i, j) for i in range(3) for j in range(3, 6)]),
            _graph([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5)]),
        ),
        "decalin and bicyclopentyl": (
            _graph([*((i, (i + 1) % 10) for i in range(10)), (0, 5)]),
            _graph([*((i, (i + 1) % 5) for i in range(5)), *((5 + i, 5 + (i + 1) % 5) for i in range(5)), (0, 5)]),
        ),
        "rook and Shrikhande": (_torus([(0, 1), (0, 2), (1, 0), (2, 0)]), _torus([(0, 1), (1, 0), (1, 1)])),
    }


def _torus(steps: list[tuple[int, int]]) -> Graph:
    """Points of Z4 x Z4, joined if they differ by a step or its negative."""
    return _graph([(4 * i + j, 4 * ((i + a) % 4) + (j + b) % 4) for i in range(4) for j in range(4) for a, b in steps])


def _graph(edges: list[tuple[int, int]]) -> Graph:
    both = sorted({*edges, *((b, a) for a, b in edges)})
    return Graph.from_edges(torch.tensor(both).t())
