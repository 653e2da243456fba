"""The generalised minimal residual method, restarted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..space import Space
from .solver import Cycle, LinearSolver, Prepared, check_every


@dataclass(frozen=True)
class GMRES(LinearSolver):
    """GMRES(m), preconditioned from the right, for any square operator: one product an iteration, m + 1 states of memory.

    Arnoldi's basis `A M V_k = V_{k+1} H_k` is made by classical Gram-Schmidt, twice; `y = argmin | |r| e_1 - H_k y |` and
    `x += M V_k y`.

    Args:
        restart: iterations m after which the basis is thrown away.

    Reference: Saad & Schultz (1986) SIAM J. Sci. Stat. Comput. 7, 856; Saad (2003) 6.5, 9.3.2.
    """

    restart: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restart < 1:
            raise ValueError(f"restart = {self.restart}; expected at least 1")

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        space, every, m = on.space, check_every(x), min(self.restart, budget)
        size = space.norm(r)
        basis, columns = [r * space.spread(_inverse(size), r)], []
        fit = _LeastSquares(_host(size), _host(target), m)
        for k in range(1, m + 1):
            w = on.operator.matvec(on.precondition(basis[-1]))
            before = space.norm(w)
            column, w = _orthogonalise(space, basis, w)
            height = space.norm(w)
            # nothing new is left: the space is invariant (a happy end if A is regular there)
            height = torch.where(height > 10 * torch.finfo(x.dtype).eps * before, height, 0.0)
            basis.append(w * space.spread(_inverse(height), w))
            columns.append(torch.cat((column, height.to(column.dtype).unsqueeze(0))))
            if k % every == 0 or k == m:
                for entries in columns:
                    fit.add(_host(entries))
                columns = []
                if fit.over:
                    break
        found = torch.from_numpy(fit.solution())
        weights = (found if x.is_complex() else found.real).to(x)
        x = x + on.precondition(_combine(space, basis[:k], weights))
        return Cycle(x, k, k, bool(fit.done.all()), bool((fit.stuck & ~fit.done).any()))


class _LeastSquares:
    """`argmin_y | size e_1 - H y |`, group by group, by Givens rotations as the columns of H arrive (on the CPU)."""

    def __init__(self, size: np.ndarray, target: np.ndarray, m: int):
        self.target, self.m, self.k = target, m, 0
        self.rhs = np.zeros((m + 1, len(size)), dtype=np.complex128)
        self.rhs[0] = size
        self.triangle = np.zeros((m, m, len(size)), dtype=np.complex128)
        self.rotations: list[tuple[np.ndarray, np.ndarray]] = []
        self.done = size <= target
        self.length = np.zeros(len(size), dtype=np.int64)  # columns that a group uses: it stops when it is done
        self.stuck = np.zeros(len(size), dtype=bool)

    def add(self, column: np.ndarray) -> None:
        """Take column k of H, `[k + 2, groups]`."""
        k, h = self.k, np.nan_to_num(column.astype(np.complex128))
        for i, (c, s) in enumerate(self.rotations):
            h[i], h[i + 1] = c * h[i] + s * h[i + 1], c * h[i + 1] - s.conj() * h[i]
        long = np.sqrt(np.abs(h[k]) ** 2 + np.abs(h[k + 1]) ** 2)
        empty = long == 0  # nothing can be said in this direction: a unit column that gets the weight zero
        phase = np.where(h[k] == 0, 1.0, h[k] / np.where(h[k] == 0, 1.0, np.abs(h[k])))
        safe = np.where(empty, 1.0, long)
        c = np.where(empty, 0.0, np.abs(h[k]) / safe)
        s = np.where(empty, 1.0, phase * h[k + 1].conj() / safe)
        self.triangle[: k + 1, k] = h[: k + 1]
        self.triangle[k, k] = np.where(empty, 1.0, phase * long)
        self.stuck |= empty | (h[k + 1] == 0)
        self.rotations.append((c, s))
        self.rhs[k], self.rhs[k + 1] = c * self.rhs[k], -s.conj() * self.rhs[k]
        self.k = k + 1
        self.length = np.where(self.done, self.length, self.k)
        self.done = self.done | (np.abs(self.rhs[self.k]) <= self.target)

    @property
    def over(self) -> bool:
        return bool((self.done | self.stuck).all())

    def solution(self) -> np.ndarray:
        """The weights, `[k, groups]`."""
        k = self.k
        y = np.where(np.arange(k)[:, None] < self.length, self.rhs[:k], 0.0)
        for j in reversed(range(k)):
            y[j] /= self.triangle[j, j]
            y[:j] -= self.triangle[:j, j] * y[j]
        return y


def _host(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()


def _orthogonalise(space: Space, basis: list[Tensor], w: Tensor) -> tuple[Tensor, Tensor]:
    """Classical Gram-Schmidt, twice: as orthogonal as the modified one, with two reductions instead of k."""
    first = space.dot([(v, w) for v in basis])
    w = w - _combine(space, basis, first)
    second = space.dot([(v, w) for v in basis])
    return first + second, w - _combine(space, basis, second)


def _combine(space: Space, basis: list[Tensor], weights: Tensor) -> Tensor:
    """`sum_i weights[i] basis[i]`, the weights `[k, groups]`."""
    out = torch.zeros_like(basis[0])
    for v, weight in zip(basis, weights, strict=True):
        out.addcmul_(v, space.spread(weight, v))
    return out


def _inverse(size: Tensor) -> Tensor:
    return torch.where(size > 0, size, torch.inf).reciprocal()
