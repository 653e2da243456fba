"""Stability limits of explicit steps on linear fields: refused before the first step, with the numbers.

For `y' = A y` with symmetric A an explicit step is stable if `dt |lambda| <= real_stability`; for `q'' = -K q` if
`dt sqrt(lambda_max(K)) <= imaginary_stability`. A step is refused only if a Lanczos *lower* bound of the spectral radius
breaks the limit; where only the guaranteed upper bound does, a warning is given.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from .errors import StabilityError
from .integrators.base import Integrator
from .operator import LinearOperator
from .protocols import Problem, linear_flow
from .space import Space


def spectral_radius(operator: LinearOperator, like: Tensor, space: Space, iterations: int = 40, seed: int = 0) -> float:
    """A lower bound of the largest absolute eigenvalue of a symmetric operator, by Lanczos iteration from a random start.

    Args:
        operator: symmetric.
        like: a state (its shape, dtype and device are used).
        iterations: products to spend; the bound is usually within 1 % after 40.
    """
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        v = torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)
        tiny = torch.finfo(v.dtype).tiny
        v = v / space.spread(space.norm(v).clamp_min(tiny), v)
        before, beta = torch.zeros_like(v), torch.zeros(space.groups, dtype=v.real.dtype, device=v.device)
        alphas: list[Tensor] = []
        betas: list[Tensor] = []
        for _ in range(iterations):
            w = operator.matvec(v) - space.spread(beta, v) * before
            alpha = space.dot([(v, w)])[0].real
            w = w - space.spread(alpha, v) * v
            alphas.append(alpha)
            beta = space.norm(w)
            betas.append(beta)
            if float(beta.max()) <= 1e-10 * float(torch.stack(alphas).abs().max()):
                break
            before, v = v, w / space.spread(beta.clamp_min(tiny), v)
        a, b = torch.stack(alphas, 1).double(), torch.stack(betas, 1).double()[:, :-1]
        matrix = torch.diag_embed(a) + torch.diag_embed(b, 1) + torch.diag_embed(b, -1)
        return float(torch.linalg.eigvalsh(matrix).abs().max())


def check_step(problem: Problem, method: Integrator, dt: float, y: Tensor) -> None:
    """Refuse an explicit fixed step that cannot be stable on this field.

    Raises:
        StabilityError: with the limit, the spectral bound it came from, and the ways out.
    """
    if not method.explicit:
        return
    flow, stiffness = linear_flow(problem.field), getattr(problem.field, "stiffness", None)
    if flow is not None and flow.operator.symmetric and method.real_stability:
        _judge(problem, method, flow.operator, dt, y, method.real_stability, oscillatory=False)
    elif isinstance(stiffness, LinearOperator) and method.imaginary_stability and method.needs == "partitioned":
        _judge(problem, method, stiffness, dt, y[0], method.imaginary_stability, oscillatory=True)


def _judge(
    problem: Problem,
    method: Integrator,
    operator: LinearOperator,
    dt: float,
    y: Tensor,
    limit: float,
    oscillatory: bool,
) -> None:
    def rate(eigenvalue: float) -> float:
        return math.sqrt(eigenvalue) if oscillatory else eigenvalue

    upper = max(abs(b) for b in operator.bounds())
    if not math.isfinite(limit) or dt * rate(upper) <= limit * (1 + 1e-9):
        return
    lower = spectral_radius(operator, y, problem.space)
    name = "sqrt(lambda_max)" if oscillatory else "lambda_max"
    stabilised = "" if oscillatory else 'a stabilised explicit method such as method="rkc2" (its stages follow dt), '
    if dt * rate(lower) > limit * (1 + 1e-6):
        largest = _rounded_down(limit / rate(lower))
        raise StabilityError(
            f"{method.name} with dt = {dt:.6g} is unstable here: it needs dt <= {largest:.6g} "
            f"({limit:.6g} / {name}, lambda_max >= {lower:.6g} by Lanczos iteration). Take a smaller dt, {stabilised}"
            'or an implicit method such as method="crank_nicolson"; stability_check=False turns this check off.',
            limit=largest,
            spectral_bound=lower,
        )
    if math.isfinite(upper):
        warnings.warn(
            f"{method.name} with dt = {dt:.6g} may be unstable: lambda_max lies between {lower:.6g} and {upper:.6g}, "
            f"dt <= {limit / rate(upper):.6g} is safe for certain",
            stacklevel=4,
        )


def _rounded_down(x: float) -> float:
    """To six digits, down: the step that the message names is not refused when it is taken."""
    unit = 10.0 ** (math.floor(math.log10(x)) - 5)
    return float(f"{math.floor(x / unit) * unit:.6g}")
