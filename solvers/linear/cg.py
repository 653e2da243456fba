"""Conjugate gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..host import looks_are_cheap
from ..space import Space
from .solver import Cycle, LinearSolver, Prepared, check_every


@dataclass(frozen=True)
class CG(LinearSolver):
    """Preconditioned conjugate gradients, for symmetric positive definite operators: one product an iteration.

        alpha = <r, Mr> / <p, Ap>,  x += alpha p,  r -= alpha Ap,  beta = <r, Mr>_new / <r, Mr>,  p = Mr + beta p

    The inner products run over all columns of a group at once (global CG). A direction of curvature <= 0 is a
    breakdown: the operator is not positive definite.

    Reference: Hestenes & Stiefel (1952) J. Res. NBS 49, 409; Saad (2003) 9.2.
    """

    needs_symmetric = True

    def cycle(self, on: Prepared, x: Tensor, r: Tensor, target: Tensor, budget: int) -> Cycle:
        if on.space.groups == 1 and looks_are_cheap(x):
            return _with_numbers(on, x, r, float(target.square()), budget)
        space, matvec, precondition = on.space, on.operator.matvec, on.precondition
        limit, every = target.square(), check_every(x)
        z = precondition(r)
        p = z.clone()
        rz, rr = space.dot([(r, z), (r, r)]).real
        broken, none = torch.zeros_like(rr, dtype=torch.bool), torch.zeros_like(rr)
        for k in range(1, budget + 1):
            q = matvec(p)
            curvature = space.dot([(p, q)])[0].real
            live = rr > limit
            broken = broken | (live & ~(curvature > 0))
            go = live & ~broken
            alpha = space.spread(torch.where(go, rz / curvature, none), x)
            x.addcmul_(p, alpha)
            r.addcmul_(q, alpha, value=-1)
            z = precondition(r)
            new, rr = space.dot([(r, z), (r, r)]).real
            beta = torch.where(go, new / rz, none)
            rz = new
            p.mul_(space.spread(beta, p)).add_(z)
            if k % every == 0 and not bool(((rr > limit) & ~broken).any()):
                break
        claims, stuck = torch.stack([~(rr > limit).any(), broken.any()]).tolist()
        return Cycle(x, k, k, claims, stuck)


def _with_numbers(on: Prepared, x: Tensor, r: Tensor, limit: float, budget: int) -> Cycle:
    """The same for one group where the host may look: its scalars are numbers, and no operation is spent on them."""
    space, matvec, precondition = on.space, on.operator.matvec, on.precondition
    z = precondition(r)
    p, (rz, rr), broken, k = z.clone(), _sizes(space, r, z), False, 0
    while k < budget and rr > limit and not broken:
        k += 1
        q = matvec(p)
        curvature = space.dot([(p, q)])[0].real.item()
        if not curvature > 0:
            broken = True
            continue
        alpha, before = rz / curvature, rz
        x.add_(p, alpha=alpha)
        r.add_(q, alpha=-alpha)
        z = precondition(r)
        rz, rr = _sizes(space, r, z)
        if rr > limit:
            p.mul_(rz / before if before else math.nan).add_(z)
    return Cycle(x, k, k, not rr > limit, broken)


def _sizes(space: Space, r: Tensor, z: Tensor) -> tuple[float, float]:
    """`<r, z>` and `<r, r>`."""
    if z is r:
        (rr,) = space.dot([(r, r)]).real[:, 0].tolist()
        return rr, rr
    rz, rr = space.dot([(r, z), (r, r)]).real[:, 0].tolist()
    return rz, rr
