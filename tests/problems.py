"""Problems with exact solutions, for tests: fields are frozen dataclasses, solutions plain float64 formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from solvers import Dense, LinearFlow, LinearOperator


@dataclass(frozen=True, eq=False)
class Nonlinear:
    """`y' = (1 + s) J y + (1 - |y|^2) y` at each node, `s = t - shift`, J a quarter turn: not autonomous, not linear.

    Solution: `y = r (cos a, sin a)`, `a = a_0 + s + s^2/2`, `1/r^2 = 1 + (1/r_0^2 - 1) exp(-2 s)`. State: `[3, 2]`, three nodes
    with radii and angles of their own.
    """

    shift: float = 0.0

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        a, b = y.unbind(-1)
        return (1 + t - self.shift) * torch.stack((-b, a), -1) + (1 - y.square().sum(-1, keepdim=True)) * y

    def exact(self, t: float, dtype: torch.dtype = torch.float64) -> Tensor:
        s = t - self.shift
        radius, angle = np.array([0.5, 0.9, 1.6]), np.array([0.0, 1.0, 2.5]) + s + s * s / 2
        radius = 1 / np.sqrt(1 + (1 / radius**2 - 1) * np.exp(-2 * s))
        return torch.from_numpy(np.stack((radius * np.cos(angle), radius * np.sin(angle)), 1)).to(dtype)


@dataclass(frozen=True, eq=False)
class Riccati:
    """`y' = -2 s y^2`, `s = t - shift`, solution `1 / (c + s^2)`: errors settle early into their leading term; `[3, 2]`."""

    shift: float = 0.0

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return -2 * (t - self.shift) * y * y

    def exact(self, t: float, dtype: torch.dtype = torch.float64) -> Tensor:
        c = torch.tensor([[1.0, 1.1], [1.2, 1.3], [1.4, 1.5]], dtype=torch.float64)
        return (1 / (c + (t - self.shift) ** 2)).to(dtype)


_EDGE_AND_NODE = 0.3 * torch.tensor([[-1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, -1.0]], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Coupled:
    """`y' = L y + (f(t, y) - L x(t))` with x the solution of `y' = f(t, y)`, which solves it too.

    A linear part that is constant, and a rest that is neither linear nor autonomous. L is minus the Laplacian of an edge
    and decay at a third node, which is a graph of its own. State: `[3, 2]`.
    """

    inner: Nonlinear | Riccati

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return Dense(_EDGE_AND_NODE.to(y.dtype), symmetric=True)

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        known = self.exact(float(t.detach()), y.dtype)
        return self.inner(t, y) - self.linear_part(t, y).matvec(known)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)

    def exact(self, t: float, dtype: torch.dtype = torch.float64) -> Tensor:
        return self.inner.exact(t, dtype)


@dataclass(frozen=True, eq=False)
class SeparableHamiltonian:
    """`q' = p^3 + p + a(t), p' = -q^3 - sin q + b(t) - damping p`, a and b such that `q = sin 2t, p = cos t` solves it.

    Not linear, not autonomous, separable: H = p^4/4 + p^2/2 + a p + q^4/4 - cos q - b q. State: `[2, 1, 1]`.
    """

    damping: Tensor | float = 0.0
    shift: float = 0.0

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        s = t - self.shift
        return p**3 + p + (2 * torch.cos(2 * s) - torch.cos(s) ** 3 - torch.cos(s))

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        s = t - self.shift
        known = torch.sin(2 * s)
        return -(q**3) - torch.sin(q) + (known**3 + torch.sin(known) - torch.sin(s) + self.damping * torch.cos(s))

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        q, p = y.unbind(0)
        return torch.stack((self.velocity(t, p), self.force(t, q) - self.damping * p))

    def exact(self, t: float, dtype: torch.dtype = torch.float64) -> Tensor:
        s = t - self.shift
        return torch.tensor((math.sin(2 * s), math.cos(s)), dtype=torch.float64).reshape(2, 1, 1).to(dtype)


@dataclass(frozen=True, eq=False)
class Oscillator:
    """`q'' = -omega^2 q - damping q'` (underdamped), from `q = 1, p = 0`. State: `[2, 1, 1]`."""

    omega: float = 1.0
    damping: Tensor | float = 0.0
    stiffness: Dense = field(init=False)

    def __post_init__(self) -> None:
        matrix = torch.tensor([[self.omega**2]], dtype=torch.float64)
        object.__setattr__(self, "stiffness", Dense(matrix, symmetric=True, semidefinite=True))

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        return -(self.omega**2) * q

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        q, p = y.unbind(0)
        return torch.stack((p, self.force(t, q) - self.damping * p))

    def exact(self, t: float) -> Tensor:
        a = float(self.damping) / 2
        w = math.sqrt(self.omega**2 - a**2)
        q = math.exp(-a * t) * (math.cos(w * t) + a / w * math.sin(w * t))
        p = -math.exp(-a * t) * self.omega**2 / w * math.sin(w * t)
        return torch.tensor((q, p), dtype=torch.float64).reshape(2, 1, 1)

    def energy(self, y: Tensor) -> Tensor:
        return (y[..., 1, :, :] ** 2 + self.omega**2 * y[..., 0, :, :] ** 2).squeeze() / 2


@dataclass(frozen=True, eq=False)
class Chain:
    """Masses joined by springs: `q'' = -K q` with K the Laplacian of a path or a cycle. State: `[2, n, channels]`."""

    stiffness: Dense
    damping: Tensor | float = 0.0

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        return -self.stiffness.matvec(q)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        q, p = y.unbind(0)
        return torch.stack((p, self.force(t, q) - self.damping * p))


@dataclass(frozen=True, eq=False)
class Dahlquist:
    """`y' = rate y`. State: anything."""

    rate: complex

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * y

    def exact(self, t: float) -> Tensor:
        return torch.exp(torch.tensor(self.rate * t, dtype=torch.complex128)).reshape(1, 1)


def laplacian(kind: str, n: int) -> np.ndarray:
    """The Laplacian D - A of a path or a cycle of `n` nodes, `[n, n]`."""
    matrix = np.zeros((n, n))
    for i in range(n if kind == "cycle" else n - 1):
        j = (i + 1) % n
        matrix[[i, j], [i, j]] += 1
        matrix[[i, j], [j, i]] -= 1
    return matrix


def mode(kind: str, n: int, k: int) -> tuple[np.ndarray, float]:
    """The k-th eigenvector and eigenvalue of `laplacian(kind, n)`.

    Path: `cos(pi k (i + 1/2) / n)`, `2 - 2 cos(pi k / n)`; cycle: `cos(2 pi k i / n)`, `2 - 2 cos(2 pi k / n)`.
    """
    i = np.arange(n)
    if kind == "path":
        return np.cos(np.pi * k * (i + 0.5) / n), 2 - 2 * math.cos(math.pi * k / n)
    return np.cos(2 * np.pi * k * i / n), 2 - 2 * math.cos(2 * math.pi * k / n)


def dense_laplacian(kind: str, n: int) -> Dense:
    return Dense(torch.from_numpy(laplacian(kind, n)), symmetric=True, semidefinite=True)


def heat(kind: str, n: int, k: int) -> tuple[LinearFlow, Tensor, float]:
    """Heat on a path or a cycle: `y' = -L y`, the k-th mode `[n, 1]`, and its eigenvalue: `y(t) = exp(-lambda t) mode`."""
    vector, value = mode(kind, n, k)
    return LinearFlow(-1.0 * dense_laplacian(kind, n)), torch.from_numpy(vector).unsqueeze(1), value


def errors(solution_at: Tensor, exact: Tensor) -> float:
    return float((solution_at - exact).abs().max())


def slope(steps: list[int], sizes: list[float]) -> float:
    """The measured order: minus the slope of log error against log number of steps, least squares."""
    return -float(np.polyfit(np.log(steps), np.log(sizes), 1)[0])
