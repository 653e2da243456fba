"""Energies in bands of a spectrum without eigenvectors: moments of Chebyshev polynomials, and smooth steps made of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from solvers import LinearOperator

PRODUCTS = 128
_DECAY = 11.0  # exp(-(11 / 2)^2) = 1e-13 is left of a step's coefficients at the last degree


def filtered(
    operator: LinearOperator, z: Tensor, limits: Tensor, bound: float, after: Tensor | None, products: int = PRODUCTS
) -> tuple[Tensor, Tensor | None]:
    """`<z, h_b(L) z>` for bands b between limits, with `sum over b of h_b = 1`.

    In the angle theta = 2 asin sqrt(lambda / bound) a band is `(erf((theta - a) / w) - erf((theta - c) / w)) / 2`, a and c
    the angles of its limits and `w = 11 / degree`: a polynomial of that degree in L, to 1e-13. All bands need no more than
    the moments `<z, T_k z>`, two of which come from one product, by `T_2k = 2 T_k^2 - 1`.

    Args:
        operator: L, symmetric, with eigenvalues in [0, bound].
        z: `[times, N, channels]` float64.
        limits: `[bands + 1]`, rising; what lies beyond the first and the last belongs to the first and the last band.
        bound: of the spectrum.
        after: `[times]`, kappa t: predict `<z_0, h_b(L) exp(-2 kappa t L) z_0>` too.
        products: half the degree.

    Returns:
        `[times, bands]` float64, and the prediction, or None.

    Reference: Weisse et al. (2006), The kernel polynomial method, section II.
    """
    degree = 2 * products
    nodes = 2 * degree
    theta = math.pi * (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes
    cosines = torch.cos(torch.arange(degree + 1, dtype=torch.float64).unsqueeze(1) * theta)
    transform = cosines * (2.0 / nodes)
    transform[0] /= 2
    edges = 2 * torch.asin((limits[1:-1] / bound).clamp(0, 1).sqrt())
    steps = (1 + torch.erf((theta - edges.unsqueeze(1)) * (degree / _DECAY))) / 2
    steps = torch.cat([torch.ones_like(theta).unsqueeze(0), steps, torch.zeros_like(theta).unsqueeze(0)])
    windows = steps[:-1] - steps[1:]  # [bands, nodes]
    moments = torch.stack([_moments(operator, state, bound, products) for state in z])
    energy = moments @ transform @ windows.mT
    if after is None:
        return energy, None
    eigenvalues = bound * (1 - torch.cos(theta)) / 2
    density = moments[0] @ transform  # [nodes]
    predicted = (density * torch.exp(-2 * after.unsqueeze(1) * eigenvalues)) @ windows.mT
    return energy, predicted


def _moments(operator: LinearOperator, z: Tensor, bound: float, products: int) -> Tensor:
    """`<z, T_k(1 - 2 L / bound) z>`, k = 0 ... 2 products."""

    def turn(x: Tensor) -> Tensor:
        return x - (2 / bound) * operator.matvec(x)

    before, now = z, turn(z)
    first, second = (z * z).sum(), (z * now).sum()
    found = [first, second]
    for _ in range(1, products):
        found += [2 * (now * now).sum() - first]
        before, now = now, 2 * turn(now) - before
        found += [2 * (now * before).sum() - second]
    found += [2 * (now * now).sum() - first]
    return torch.stack(found).cpu()
