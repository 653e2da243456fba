"""The stabilised bi-conjugate gradient method."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .solver import Cycle, LinearSolver, Prepared, check_every


@dataclass(frozen=True)
class BiCGStab(LinearSolver):
    """BiCGStab, preconditioned from the right, for any square operator: two products an iteration, short recurrences.

        alpha = <r^, r> / <r^, A M p>,  s = r - alpha A M p,  omega = <t, s> / <t, t> with t = A M s,
        x += alpha M p + omega M s,  r = s - omega t,  p = r + beta (p - omega A M p)

    Where a denominator vanishes it restarts from the true residual.

    Reference: van der Vorst (1992) SIAM J. Sci. Stat. Comput. 13, 631; Saad (2003) 7.4.2.
    """

    products_each = 2.0

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        space, matvec, precondition = on.space, on.operator.matvec, on.precondition
        limit, every, tiny = target.square(), check_every(x), torch.finfo(x.dtype).eps ** 2
        shadow, p = r.clone(), r.clone()
        rho = space.dot([(shadow, r)])[0]
        rr = start = rho.real
        broken, none = torch.zeros_like(rr, dtype=torch.bool), torch.zeros_like(rho)
        for k in range(1, budget + 1):
            mp = precondition(p)
            v = matvec(mp)
            sigma = space.dot([(shadow, v)])[0]
            live = rr > limit
            # |<r^, r>| far below |r^| |r|, or a zero denominator: the recurrence has lost its direction
            broken = broken | (live & ((rho.abs().square() <= tiny * start * rr) | ~(sigma.abs() > 0)))
            go = live & ~broken
            alpha = torch.where(go, rho / sigma, none)
            r.addcmul_(v, space.spread(alpha, r), value=-1)
            ms = precondition(r)
            t = matvec(ms)
            ts, tt = space.dot([(t, r), (t, t)])
            omega = torch.where(go & (tt.abs() > 0), ts / tt, none)
            x.addcmul_(mp, space.spread(alpha, x)).addcmul_(ms, space.spread(omega, x))
            p.addcmul_(v, space.spread(omega, p), value=-1)
            r.addcmul_(t, space.spread(omega, r), value=-1)
            new, square = space.dot([(shadow, r), (r, r)])
            rr = square.real
            broken = broken | (go & (rr > limit) & (omega == 0))
            beta = torch.where(go & ~broken & (rr > limit), (new / rho) * (alpha / omega), none)
            rho = new
            p.mul_(space.spread(beta, p)).add_(r)
            if k % every == 0 and not bool(((rr > limit) & ~broken).any()):
                break
        claims, stuck = torch.stack([~(rr > limit).any(), broken.any()]).tolist()
        return Cycle(x, k, 2 * k, claims, stuck)
