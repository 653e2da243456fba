"""Rows of a series in a transition matrix, some at a time, of which only the large entries are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import SparseOperator, bytes_in_words, free_memory

from ..graph import Graph

_BLOCK = 2**24  # bytes of the block of rows that is worked on
_KEPT = 48  # bytes of a kept entry: two numbers of nodes and a value, twice while they are put together
_SHARE = 0.8  # of the free memory that may be used


def transition(graph: Graph, normalization: str, loop: float) -> tuple[SparseOperator, Tensor | None]:
    """The matrix whose series has the wanted rows (as its columns), in float64.

    Undirected: the symmetric `D^-1/2 (A + w I) D^-1/2`, with `D^1/2`, from which the rows of the other normalisations
    follow by scaling. Directed: the transpose of T, and None.

    Args:
        graph: not negatively weighted.
        normalization: "sym", "rw" or "col".
        loop: w.

    Returns:
        `(matrix, root)`; root is `[N]`, 1 where a degree is zero.
    """
    n, loops = graph.num_nodes, torch.arange(graph.num_nodes, device=graph.device)
    source, target = torch.cat([graph.edge_index, loops.expand(2, -1)], 1)
    value = torch.cat([graph.edge_weight(torch.float64), torch.full((n,), float(loop), device=graph.device).double()])

    def degree(at: Tensor) -> Tensor:
        total = value.new_zeros(n).index_add(0, at, value)
        return total.masked_fill(total == 0, 1.0)

    if graph.undirected:
        root = degree(target).sqrt()
        value = value / (root[source] * root[target])
        return SparseOperator.from_edges(torch.stack([source, target]), value, n, symmetric=True), root
    value = value / (degree(target)[target] if normalization == "rw" else degree(source)[source])
    return SparseOperator.from_edges(torch.stack([target, source]), value, n), None


@dataclass(frozen=True, eq=False)
class DiffusionRows:
    """Rows of `S`, from `matrix` and the coefficients of its series.

    Args:
        matrix: of `transition`.
        series: coefficients of Chebyshev polynomials (with `root`) or of powers (without).
        root: `D^1/2`, `[N]`, or None.
        normalization: of T; with `root` the rows are scaled to it.
    """

    matrix: SparseOperator
    series: Sequence[float]
    root: Tensor | None
    normalization: str

    def rows(self, nodes: Tensor) -> Tensor:
        """`S[nodes]`, `[k, N]` float64."""
        n = self.matrix.shape[0]
        unit = torch.zeros(n, len(nodes), dtype=torch.float64, device=nodes.device)
        unit[nodes, torch.arange(len(nodes), device=nodes.device)] = 1.0
        total = (self._powers(unit) if self.root is None else self._chebyshev(unit)).t()
        if self.root is None or self.normalization == "sym":
            return total
        here = self.root[nodes].unsqueeze(1)
        return total * self.root / here if self.normalization == "rw" else total * here / self.root

    def _powers(self, x: Tensor) -> Tensor:
        total = self.series[0] * x
        for c in self.series[1:]:
            x = self.matrix.matvec(x)
            total.add_(x, alpha=c)
        return total

    def _chebyshev(self, x: Tensor) -> Tensor:
        total, before, now = self.series[0] * x, None, x
        for c in self.series[1:]:
            after = self.matrix.matvec(now)
            after = after if before is None else after.mul_(2).sub_(before)
            before, now = now, after
            total.add_(now, alpha=c)
        return total

    def sparsified(self, top_k: int | None, least: float, loops: bool) -> tuple[Tensor, Tensor, Tensor]:
        """The entries that stay, row by row.

        Args:
            top_k: of each row the largest so many, or None for all.
            least: no entry below it stays.
            loops: whether the diagonal may stay.

        Returns:
            Rows, columns and values, `[entries]` each.

        Raises:
            MemoryError: they will not fit.
        """
        n = self.matrix.shape[0]
        step = max(1, min(512, _BLOCK // (8 * max(n, 1))))
        if top_k is not None:
            self._refuse(min(top_k, n) * n, "at most")
        kept, entries = [], 0
        for start in range(0, n, step):
            nodes = torch.arange(start, min(start + step, n), device=self.matrix.device)
            block = self.rows(nodes)
            if not loops:
                block[nodes - start, nodes] = 0.0
            stays = block >= least
            if top_k is not None and top_k < n:
                best = block.topk(top_k, dim=1).indices
                stays &= torch.zeros_like(stays).scatter_(1, best, True)
            row, column = stays.nonzero(as_tuple=True)
            kept.append((row + start, column, block[row, column]))
            entries += len(row)
            self._refuse(entries * n // (start + len(nodes)), "about")
        if not kept:
            none = torch.zeros(0, dtype=torch.int64, device=self.matrix.device)
            return none, none, none.double()
        rows, columns, values = (torch.cat(parts) for parts in zip(*kept, strict=True))
        return rows, columns, values

    def _refuse(self, entries: int, how: str) -> None:
        free = free_memory(self.matrix.device)
        if free is not None and entries * _KEPT > _SHARE * free:
            raise MemoryError(
                f"{how} {entries:,} entries of the diffusion matrix would stay, which takes {bytes_in_words(entries * _KEPT)}; "
                f"{bytes_in_words(free)} are free. Keep fewer: a smaller top_k, or a larger epsilon."
            )
