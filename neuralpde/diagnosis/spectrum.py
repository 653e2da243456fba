"""Eigenvalues: of a graph's Laplacian, and of a field's linear part or Jacobian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, eigs, eigsh
from torch import Tensor

from solvers import LinearOperator, Problem, VectorField, linearise, semilinear

from ..graph import Graph
from ..monitors.energy import check_normalization
from ..operators.laplacian import Laplacian

_MOST_SYMMETRIC, _MOST = 3000, 1200  # unknowns of a dense eigenvalue problem that takes seconds
_OUTERMOST = 24  # eigenvalues at either end of a larger one


@dataclass(frozen=True, eq=False)
class FieldSpectrum:
    """Eigenvalues of a field.

    Attributes:
        values: complex128, by falling size.
        unknowns: of the matrix; fewer values than that are the largest ones, and those of the largest real part.
        what: whose they are, in words.
    """

    values: Tensor
    unknowns: int
    what: str

    @property
    def complete(self) -> bool:
        """Whether these are all eigenvalues."""
        return len(self.values) == self.unknowns


def laplacian_spectrum(graph: Graph, normalization: str = "none") -> Tensor:
    """All eigenvalues of a graph's Laplacian, `[N]` float64, rising.

    Args:
        graph: undirected, up to 3,000 nodes.
        normalization: as in `DirichletEnergy`; "rw" and "col" have those of "sym".

    Raises:
        ValueError: a larger graph.
        GraphError: a directed graph.
    """
    check_normalization(normalization)
    if graph.num_nodes > _MOST_SYMMETRIC:
        raise ValueError(
            f"{graph.num_nodes:,} nodes; all eigenvalues are computed up to {_MOST_SYMMETRIC:,}. Give those you need "
            "(scipy.sparse.linalg.eigsh), or linspace(0, lambda_max)"
        )
    kind = "none" if normalization == "none" else "sym"
    matrix = Laplacian(graph, kind, self_loops=normalization == "sym_loops", dtype=torch.float64).to_dense()
    return torch.linalg.eigvalsh(matrix).cpu()


def field_spectrum(field: VectorField, state: Tensor, t: float = 0.0) -> FieldSpectrum:
    """Eigenvalues of `A` in `y' = A y + ...`: of an oscillator's modes, of the linear part, else of the Jacobian at a state.

    An oscillator `q'' = -K q - damping q'` has a pair `s = -damping/2 +- sqrt(damping^2/4 - lambda)` for each eigenvalue
    lambda of K. With more unknowns than take seconds (3,000 of a symmetric matrix, 1,200 of another) the 24
    largest and the 24 slowest are found by Arnoldi iteration, to 1e-6; of a Jacobian none.

    Args:
        field: `f(t, y)`, as `pde.on(graph, u0)` returns it.
        state: y, where a nonlinear field is linearised (`pde.lift(graph, u0)`).
        t: the time of that.

    Raises:
        ValueError: the Jacobian of too many unknowns.
        TypeError: the field cannot be differentiated.
    """
    stiffness, damping = getattr(field, "stiffness", None), getattr(field, "damping", None)
    if isinstance(stiffness, LinearOperator) and stiffness.symmetric and stiffness.columnwise:
        rate = torch.as_tensor(damping, dtype=torch.float64).detach()
        if rate.numel() == 1:
            squares = torch.from_numpy(_eigenvalues(stiffness)).real
            half = float(rate) / 2
            root = torch.sqrt((half**2 - squares).to(torch.complex128))
            values = torch.cat([-half + root, -half - root])
            return FieldSpectrum(_by_size(values), 2 * stiffness.shape[0], f"modes of an oscillator, damping {float(rate):g}")
    parts = semilinear(field)
    if parts is not None:
        with torch.no_grad():
            operator = parts.linear_part(torch.as_tensor(t, dtype=state.dtype, device=state.device), state)
        if operator.columnwise:
            values = torch.from_numpy(_eigenvalues(operator))
            return FieldSpectrum(_by_size(values), operator.shape[0], "linear part")
    if state.numel() > _MOST:
        raise ValueError(
            f"the Jacobian has {state.numel():,} unknowns; its spectrum is computed up to {_MOST:,}: "
            "take a smaller graph or fewer channels"
        )
    adjoint = linearise(Problem(field), t, state, forward=False).adjoint
    values = torch.linalg.eigvals(adjoint.to_dense().detach().to(torch.float64).cpu())
    return FieldSpectrum(_by_size(values.conj()), state.numel(), "Jacobian at the initial state")


def _eigenvalues(operator: LinearOperator) -> np.ndarray:
    n = operator.shape[0]
    with torch.no_grad():
        if n <= (_MOST_SYMMETRIC if operator.symmetric else _MOST):
            matrix = operator.to_dense().detach().to(torch.float64).cpu()
            found = torch.linalg.eigvalsh(matrix) if operator.symmetric else torch.linalg.eigvals(matrix)
            return found.to(torch.complex128).numpy()
        matrix = operator.to_scipy().astype(np.float64)
    start, few = np.random.default_rng(0).standard_normal(n), {"tol": 1e-6, "return_eigenvectors": False}
    try:
        if operator.symmetric:
            return np.asarray(eigsh(matrix, k=2 * _OUTERMOST, which="BE", v0=start, **few), dtype=np.complex128)
        ends = [eigs(matrix, k=_OUTERMOST, which=which, v0=start, **few) for which in ("LM", "LR")]
        return np.unique(np.concatenate(ends).round(9))
    except ArpackError as error:
        raise ValueError(f"the largest eigenvalues of {n:,} unknowns could not be found: {error}") from error


def _by_size(values: Tensor) -> Tensor:
    return values[values.abs().argsort(descending=True, stable=True)]
