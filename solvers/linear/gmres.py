"""The generalised minimal residual method, restarted."""

from __future__ import annotations

from dataclasses import dataclass

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
        basis = [r * space.spread(_inverse(size), r)]
        hessenberg = torch.zeros(len(size), m + 1, m, dtype=_double(x.dtype), device=x.device)
        weights = hessenberg.new_zeros(len(size), m)
        done = size <= target
        stuck = torch.zeros_like(done)
        for k in range(1, m + 1):
            w = on.operator.matvec(on.precondition(basis[-1]))
            before = space.norm(w)
            column, w = _orthogonalise(space, basis, w)
            height = space.norm(w)
            # nothing new is left: the space is invariant (a happy end if A is regular there)
            ended = height <= 10 * torch.finfo(x.dtype).eps * before
            hessenberg[:, :k, k - 1] = column.T
            hessenberg[:, k, k - 1] = torch.where(ended, torch.zeros_like(height), height)
            idle = (before == 0) | ~torch.isfinite(before)
            hessenberg[:, k - 1, k - 1] += idle.to(hessenberg.dtype)  # a unit column: regular, and its weight is zero
            basis.append(w * space.spread(torch.where(ended, 0.0, _inverse(height)), w))
            if k % every == 0 or k == m:
                y, residual = _least_squares(hessenberg[:, : k + 1, :k], size)
                weights[:, :k] = torch.where(done.unsqueeze(1), weights[:, :k], y)
                done = done | (residual <= target.to(residual.dtype))
                stuck = ~done & (ended | idle)
                if bool((done | stuck).all()):
                    break
        correction = _combine(space, basis[:k], weights[:, :k].to(x.dtype))
        x = x + on.precondition(correction)
        claims, broken = torch.stack([done.all(), stuck.any()]).tolist()
        return Cycle(x, k, k, claims, broken)


def _orthogonalise(space: Space, basis: list[Tensor], w: Tensor) -> tuple[Tensor, Tensor]:
    """Classical Gram-Schmidt, twice: as orthogonal as the modified one, with two reductions instead of k."""
    total = None
    for _ in range(2):
        h = space.dot([(v, w) for v in basis])
        w = w - _combine(space, basis, h.T)
        total = h if total is None else total + h
    assert total is not None
    return total, w


def _combine(space: Space, basis: list[Tensor], weights: Tensor) -> Tensor:
    """`sum_i weights[:, i] basis[i]`, the weights per group."""
    out = torch.zeros_like(basis[0])
    for i, v in enumerate(basis):
        out.addcmul_(v, space.spread(weights[:, i], v))
    return out


def _least_squares(hessenberg: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """`argmin_y | size e_1 - H y |` for every group, and the residual."""
    rhs = torch.zeros_like(hessenberg[:, :, :1])
    rhs[:, 0, 0] = size.to(rhs.dtype)
    y = torch.linalg.lstsq(hessenberg, rhs).solution
    return y.squeeze(-1), torch.linalg.vector_norm(rhs - hessenberg @ y, dim=(1, 2))


def _inverse(size: Tensor) -> Tensor:
    return torch.where(size > 0, size, torch.inf).reciprocal()


def _double(dtype: torch.dtype) -> torch.dtype:
    return torch.complex128 if dtype.is_complex else torch.float64
