"""The rate of an energy that theory predicts: of linear dynamics by their spectrum, of a GCN by Cai and Wang's bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from solvers import LinearOperator, VectorField, linear_flow

from .diagnose_modes import slowest_modes
from .graph import Graph
from .operators.adjacency import Adjacency

_MOST_SYMMETRIC, _MOST = 3000, 1200  # unknowns of a dense eigenvalue problem that takes seconds


@dataclass(frozen=True)
class Theory:
    """A rate of the energy, per unit of time or per layer.

    Attributes:
        rate: of log E; NaN where there is no theory.
        kind: "exact" (the rate after the transient), "bound" (at most this), or "none".
        text: where it comes from, or why there is none.
    """

    rate: float
    kind: str
    text: str

    def __str__(self) -> str:
        if self.kind == "none":
            return f"none ({self.text})"
        return f"{'at most ' if self.kind == 'bound' else ''}{self.rate:+.4g} ({self.text})"


def no_theory(why: str) -> Theory:
    """There is no prediction, and why."""
    return Theory(math.nan, "none", why)


def flow_theory(field: VectorField, state: Tensor) -> Theory:
    """`2 max Re s` over the eigenvalues s != 0 of a linear field `y' = A y`: the slowest mode that an energy sees.

    For the heat equation it is -2 lambda_2; for an oscillator of damping alpha over a stiffness of eigenvalues lambda,
    `-2 min Re(alpha/2 - sqrt(alpha^2/4 - lambda))`.

    Args:
        field: of the equation.
        state: one of its states; only its shape counts.
    """
    stiffness, damping = (
        getattr(field, "stiffness", None),
        torch.as_tensor(getattr(field, "damping", math.nan), dtype=torch.float64),
    )
    if isinstance(stiffness, LinearOperator) and stiffness.symmetric and damping.numel() == 1 and damping.isfinite():
        size = stiffness.shape[0] if stiffness.columnwise else state[0].numel()
        if size <= _MOST_SYMMETRIC:
            return _oscillator(stiffness, state[0], size, float(damping.detach()))
    flow = linear_flow(field)
    if flow is None:
        return no_theory("the dynamics are not linear")
    operator: LinearOperator = flow.operator
    size = operator.shape[0] if operator.columnwise else state.numel()
    symmetric = operator.symmetric
    most = _MOST_SYMMETRIC if symmetric else _MOST
    with torch.no_grad():
        if size > most:
            real = slowest_modes(operator) if operator.columnwise else None
            if real is None:
                return no_theory(f"{size:,} unknowns; the spectrum is computed up to {most:,}")
        else:
            matrix = _dense(operator, state, size)
            real = torch.linalg.eigvalsh(matrix) if symmetric else _nonzero_real(torch.linalg.eigvals(matrix))
    real = real[real.abs() > 1e-9 * real.abs().max()] if symmetric else real
    if not len(real):
        return no_theory("the field is zero")
    slowest = float(real.max())
    gap = f"spectral gap {-slowest:.6g} of the dynamics' own operator" if symmetric else f"slowest mode, Re s = {slowest:.6g}"
    return Theory(2 * slowest, "exact", gap)


def _oscillator(stiffness: LinearOperator, positions: Tensor, size: int, damping: float) -> Theory:
    with torch.no_grad():
        values = torch.linalg.eigvalsh(_symmetrised(_dense(stiffness, positions, size)))
    values = values[values.abs() > 1e-9 * values.abs().max()]
    root = torch.sqrt((damping**2 / 4 - values).to(torch.complex128)).real
    slowest = float((damping / 2 - root).min())
    least = float(values.min())
    return Theory(0.0 - 2 * slowest, "exact", f"oscillator modes, damping {damping:g}, smallest eigenvalue {least:.6g}")


def _symmetrised(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mT) / 2


def _nonzero_real(values: Tensor) -> Tensor:
    size = values.abs()
    return values[size > 1e-7 * size.max()].real  # a double zero comes out as +- sqrt(eps)


def _dense(operator: LinearOperator, state: Tensor, size: int) -> Tensor:
    if operator.columnwise:
        return operator.to_dense().double()
    basis = torch.eye(size, dtype=state.dtype, device=state.device).reshape(size, *state.shape)
    return operator.matvec(basis).reshape(size, size).mT.double()


def gcn_theory(convolutions: list[nn.Module], graph: Graph, linear: bool) -> Theory:
    """Cai and Wang's contraction of a GCN, `E(relu(A X W)) <= |W|_2^2 s^2 E(X)`, as a rate per layer.

    E is the energy with self-loops, `A = (D + 1)^-1/2 (A + I) (D + 1)^-1/2`, and s the largest |eigenvalue| of A below 1.
    The bound takes the largest |W|_2 of the layers, and so holds for any of them in a row.
    Of layers without nonlinearity whose weights are multiples of orthogonal matrices it is the rate itself.

    Args:
        convolutions: PyG's `GCNConv` layers, in order.
        graph: that they run on.
        linear: the network is linear in its features.

    Reference: Cai & Wang (2020), A note on over-smoothing for graph neural networks, theorem 3.3.
    """
    if any(getattr(c, "improved", False) or not (getattr(c, "add_self_loops", True) and c.normalize) for c in convolutions):
        return no_theory("the layers' operator is not (D + 1)^-1/2 (A + I) (D + 1)^-1/2")
    if any(isinstance(c.bias, Tensor) and bool((c.bias.detach() != 0).any()) for c in convolutions):
        return no_theory("the layers have biases, for which the contraction of a GCN does not hold")
    if graph.num_nodes > _MOST_SYMMETRIC:
        return no_theory(f"{graph.num_nodes:,} nodes; the spectrum is computed up to {_MOST_SYMMETRIC:,}")
    with torch.no_grad():
        matrix = Adjacency(graph, "sym", self_loops=True, dtype=torch.float64).to_dense()
        values = torch.linalg.eigvalsh(_symmetrised(matrix)).abs()
        values = values[values < 1 - 1e-9]
        if not len(values):
            return no_theory("the graph has no edges")
        second = max(float(values.max()), torch.finfo(torch.float64).eps)
        spectra = [torch.linalg.svdvals(c.lin.weight.detach().double()) for c in convolutions]  # type: ignore[union-attr]
    logs = [math.log(max(float(s[0]), math.ulp(0.0))) for s in spectra]
    plain = all(len(s) and float(s[0] - s[-1]) <= 1e-5 * float(s[0]) for s in spectra)
    if linear and plain:
        rate = 2 * (math.log(second) + sum(logs) / len(logs))
        return Theory(rate, "exact", f"linear layers, second largest |1 - lambda| = {second:.6g}")
    rate = 2 * (math.log(second) + max(logs))  # of any layers in a row: their mean norm may be above that of all
    return Theory(
        rate, "bound", f"Cai and Wang: second largest |1 - lambda| = {second:.6g} and the largest norm of the weights"
    )
