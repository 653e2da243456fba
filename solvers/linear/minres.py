"""The minimal residual method for symmetric, possibly indefinite operators."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .solver import Cycle, LinearSolver, Prepared, check_every


@dataclass(frozen=True)
class MINRES(LinearSolver):
    """MINRES for symmetric operators, definite or not: the residual is the smallest in the Krylov space; one product each.

    Lanczos's three-term recurrence `A z_j = v_{j+1} + delta v_j + gamma v_{j-1}`, whose tridiagonal matrix is made
    triangular by one rotation a step, so that only two directions are kept. A preconditioner must be positive definite.

    Reference: Paige & Saunders (1975) SIAM J. Numer. Anal. 12, 617; Elman, Silvester & Wathen (2014), algorithm 4.1.
    """

    needs_symmetric = True

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        space, matvec, precondition, every = on.space, on.operator.matvec, on.precondition, check_every(x)
        size = space.norm(r)
        z = precondition(r)
        gamma = space.dot([(z, r)])[0].real.clamp_min(0).sqrt()
        # with a preconditioner the residual is known in another norm: its fall is what counts
        limit = torch.where(size > 0, gamma * (target / size).clamp(max=1.0), 0.0)
        eta, zero, one = gamma.clone(), torch.zeros_like(gamma), torch.ones_like(gamma)
        v, v_old, gamma_old = r.clone(), torch.zeros_like(r), one
        w, w_old = torch.zeros_like(r), torch.zeros_like(r)
        c, c_old, s, s_old = one, one, zero, zero
        broken = torch.zeros_like(gamma, dtype=torch.bool)
        for k in range(1, budget + 1):
            go = (eta.abs() > limit) & ~broken & (gamma > 0)
            inverse = torch.where(go, gamma.reciprocal(), zero)
            z = z * space.spread(inverse, z)
            q = matvec(z)
            delta = space.dot([(z, q)])[0].real
            q = q - v * space.spread(delta * inverse, v) - v_old * space.spread(gamma * gamma_old.reciprocal() * go, v)
            z_new = precondition(q)
            gamma_new = space.dot([(z_new, q)])[0].real.clamp_min(0).sqrt()
            first = c * delta - c_old * s * gamma
            length = torch.hypot(first, gamma_new)
            broken = broken | (go & ~(length > 0))
            go = go & ~broken
            over = torch.where(go, length.reciprocal(), zero)
            second, third = s * delta + c_old * c * gamma, s_old * gamma
            w_new = z - w_old * space.spread(third, w) - w * space.spread(second, w)
            w_old, w = w, w_new * space.spread(over, w)
            c_old, s_old, c, s = c, s, torch.where(go, first * over, c), torch.where(go, gamma_new * over, s)
            x.addcmul_(w, space.spread(torch.where(go, c * eta, zero), x))
            eta = torch.where(go, -s * eta, eta)
            v_old, v, z, gamma_old, gamma = v, q, z_new, torch.where(go, gamma, one), gamma_new
            if k % every == 0 and not bool(((eta.abs() > limit) & ~broken & (gamma > 0)).any()):
                break
        claims, stuck = torch.stack([~(eta.abs() > limit).any(), broken.any()]).tolist()
        return Cycle(x, k, k, claims, stuck)
