"""Graph-coupled oscillators (GraphCON)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from solvers import LinearOperator, Space, unknown

from ..graph import Graph
from ..operators.adjacency import Adjacency
from .activation import activation_named
from .base import GraphPDE
from .convolved_force import convolved_force
from .coupling import Convolution, GraphAttention, Layered

COUPLINGS = ("gcn", "gat")


@dataclass(frozen=True, eq=False)
class CoupledOscillators:
    """`q' = p`, `p' = sigma(F(t, q)) - gamma q - damping p`: a partitioned field.

    Args:
        coupling: F.
        damping: alpha.
        gamma: restoring force.
        activation: sigma, or None for the identity.
        stiffness: K, where the force is `-K q` with K symmetric; None where it is not.
    """

    coupling: Convolution | GraphAttention
    damping: float = 0.0
    gamma: float = 1.0
    activation: Callable[[Tensor], Tensor] | None = None
    stiffness: LinearOperator | None = None
    unit_mass: ClassVar[bool] = True

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        q, p = y.unbind(0)
        return torch.stack((p, torch.sub(self.force(t, q), p, alpha=self.damping)))

    def velocity(self, t: Tensor, p: Tensor) -> Tensor:
        return p

    def force(self, t: Tensor, q: Tensor) -> Tensor:
        if isinstance(self.coupling, Convolution):
            gathered = self.coupling.adjacency.matvec(q)
            return convolved_force(gathered, q, *self.coupling.weights(t), self.activation, self.gamma)
        push = self.coupling(t, q)
        if self.activation is not None:
            push = self.activation(push)
        return torch.add(push, q, alpha=-self.gamma) if self.gamma else push

    def energy(self, t: Tensor | float, y: Tensor, space: Space) -> Tensor:
        """`H = 1/2 |p|^2 + gamma/2 |q|^2 - 1/2 <q, A q W>`, `[graphs]`, for a linear force with symmetric W.

        Raises:
            TypeError: the force is not the gradient of a potential of that kind.
        """
        if self.stiffness is None:
            raise TypeError(
                'this GraphCON has no energy: its force is not a gradient. It has one with coupling="gcn", activation=None, '
                "bias=False, shared weights and a symmetric weight matrix; Wave always has one."
            )
        q, p = y.unbind(0)
        kinetic, potential = space.dot([(p, p), (q, self.stiffness.matvec(q))])
        return (kinetic + potential) / 2


@dataclass(frozen=True, eq=False)
class CouplingStiffness(LinearOperator):
    """`K q = gamma q - A q W`: symmetric for symmetric A and W; it mixes channels."""

    adjacency: LinearOperator
    weight: Tensor
    gamma: float
    symmetric = True
    columnwise = False

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.adjacency.shape

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        return self.weight.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.weight.device

    def matvec(self, x: Tensor) -> Tensor:
        return self.gamma * x - self.adjacency.matvec(x) @ self.weight

    @property
    def adjoint(self) -> LinearOperator:
        return self

    def bounds(self) -> tuple[float, float]:
        lo, hi = self.adjacency.bounds()
        size = max(abs(lo), abs(hi)) * float(torch.linalg.eigvalsh(self.weight.detach()).abs().max())
        return self.gamma - size, self.gamma + size


class GraphCON(GraphPDE):
    """`X'' = sigma(F(X)) - gamma X - alpha X'`, as `Y' = sigma(F(X)) - gamma X - alpha Y`, `X' = Y`; X(0) = Y(0) = u0.

    F is a graph convolution, `A X W + b` with `A = (D + 1)^-1/2 (A + I) (D + 1)^-1/2`, or graph attention. The published
    scheme is `method="symplectic_euler"`:

        Y_n = Y_{n-1} + dt (sigma(F(X_{n-1})) - gamma X_{n-1} - alpha Y_{n-1}),    X_n = X_{n-1} + dt Y_n

    whose homogeneous part is stable for 0 <= alpha dt <= 2 and 0 <= gamma dt^2 <= 4 - 2 alpha dt.

    The published default dt = alpha = gamma = 1 is degenerate: the step is then X_n = sigma(F(X_{n-1})) exactly, a plain
    graph neural network, whatever Y is. A warning says so.

    Args:
        channels: C.
        coupling: "gcn" or "gat".
        alpha: damping, 1 / time.
        gamma: restoring force, 1 / time^2.
        layers: None for weights shared over time; a number for as many weights, one after the other, each lasting `dt`.
        dt: the time that a layer lasts (with `layers`; solve with steps of `dt`, or fractions of it, to time `layers dt`).
        activation: "relu", "tanh", "elu", ... or None for the identity.
        heads: of "gat"; divides C.
        self_loops: of "gcn": False for the plain `D^-1/2 A D^-1/2`.
        bias: add b.

    Raises:
        ValueError: unknown names, heads that do not divide C, layers without dt, negative alpha or gamma.

    Reference: T. K. Rusch, B. Chamberlain, J. Rowbottom, S. Mishra, M. Bronstein, Graph-coupled oscillator networks (2022),
        eqs. 1-4; https://github.com/tk-rusch/GraphCON.
    """

    def __init__(
        self,
        channels: int,
        coupling: Literal["gcn", "gat"] = "gcn",
        alpha: float = 0.5,
        gamma: float = 1.0,
        *,
        layers: int | None = None,
        dt: float | None = None,
        activation: str | None = "relu",
        heads: int = 4,
        self_loops: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        _check(channels, coupling, alpha, gamma, layers, dt, heads)
        self.channels, self.coupling, self.alpha, self.gamma = channels, coupling, float(alpha), float(gamma)
        self.layers, self.dt, self.heads, self.self_loops = layers, dt if layers else None, heads, self_loops
        self.activation = activation
        activation_named(activation)
        first = () if layers is None else (layers,)
        self.weight = nn.Parameter(torch.empty(*first, channels, channels))
        self.bias = nn.Parameter(torch.empty(*first, channels)) if bias or coupling == "gat" else None
        attends = coupling == "gat"
        self.left = nn.Parameter(torch.empty(*first, channels)) if attends else None
        self.right = nn.Parameter(torch.empty(*first, channels)) if attends else None
        self.reset_parameters()
        _warn_degenerate(self.alpha, self.gamma, self.dt)

    def reset_parameters(self) -> None:
        """Draw the weights anew: Glorot for W and the attention vectors, zero for b (as PyG's GCNConv and GATConv)."""
        width = self.weight.shape[-1]
        nn.init.uniform_(self.weight, -((3 / width) ** 0.5), (3 / width) ** 0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        bound = (6 / (self.heads + width // self.heads)) ** 0.5
        for vector in (self.left, self.right):
            if vector is not None:
                nn.init.uniform_(vector, -bound, bound)

    def on(self, graph: Graph, u0: Tensor) -> CoupledOscillators:
        weight = Layered(self.weight, self.dt)
        bias = None if self.bias is None else Layered(self.bias, self.dt)
        sigma = activation_named(self.activation)
        if self.left is not None and self.right is not None and bias is not None:
            left, right = Layered(self.left, self.dt), Layered(self.right, self.dt)
            attention = GraphAttention(graph, weight, left, right, bias, self.heads)
            return CoupledOscillators(attention, self.alpha, self.gamma, sigma)
        adjacency = Adjacency(graph, "sym", self_loops=self.self_loops, dtype=u0.dtype)
        stiffness = None
        if sigma is None and bias is None and self.layers is None and torch.equal(self.weight, self.weight.mT):
            stiffness = CouplingStiffness(adjacency, self.weight, self.gamma)
        return CoupledOscillators(Convolution(adjacency, weight, bias), self.alpha, self.gamma, sigma, stiffness)

    def lift(self, graph: Graph, u0: Tensor) -> Tensor:
        return torch.stack((u0, u0))

    def read(self, y: Tensor) -> Tensor:
        return y[..., 0, :, :]

    @classmethod
    def example(cls) -> tuple[GraphCON, Graph, Tensor]:
        """Attention with two heads and two layers on a grid of six nodes."""
        generator = torch.Generator().manual_seed(0)
        pde = cls(4, "gat", heads=2, layers=2, dt=0.5, activation="tanh").double()
        with torch.no_grad():
            for p in pde.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / 2)
        return pde, Graph.grid(2, 3), torch.randn(6, 4, generator=generator, dtype=torch.float64)


def _check(channels: int, coupling: str, alpha: float, gamma: float, layers: int | None, dt: float | None, heads: int) -> None:
    if coupling not in COUPLINGS:
        raise unknown("coupling", coupling, COUPLINGS)
    if coupling == "gat" and channels % heads:
        raise ValueError(f"{heads} heads do not divide {channels} channels; heads=1 or another width")
    if alpha < 0 or gamma < 0:
        raise ValueError(f"alpha = {alpha:g}, gamma = {gamma:g}; neither may be negative (the oscillators would be driven)")
    if layers is not None and (layers < 1 or dt is None or not dt > 0):
        raise ValueError(f"layers={layers} with dt={dt}; expected at least one layer and the positive time dt that each lasts")
    if layers is None and dt is not None:
        raise ValueError(
            "dt is the time that a layer lasts: give layers= too, or hand the step to the solver: simulate(..., dt=)"
        )


def _warn_degenerate(alpha: float, gamma: float, dt: float | None) -> None:
    step = 1.0 if dt is None else dt
    if abs(alpha * step - 1) < 1e-9 and abs(gamma * step * step - 1) < 1e-9:
        warnings.warn(
            f"GraphCON with alpha = {alpha:g}, gamma = {gamma:g} is degenerate under symplectic Euler with dt = {step:g}: a "
            "step is X -> sigma(F(X)) exactly, a plain graph neural network. Take a smaller step, or another alpha or gamma.",
            stacklevel=4,
        )
