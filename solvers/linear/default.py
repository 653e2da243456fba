"""The linear solver that is taken where none was named."""

from __future__ import annotations

from ..operator import LinearOperator
from ..shifted import Shifted
from ..space import PerGraph, Plain, Space
from ..stacked import StackedOperator, StackedSpace
from .cg import CG
from .elimination import Elimination
from .gmres import GMRES
from .preconditioners import chosen_by_diagonal
from .solver import LinearSolver
from .stage_blocks import StageBlocks

_SMALL = 32  # unknowns up to which the matrix of an operator without columns is made


def default_solver(A: LinearOperator, space: Space) -> LinearSolver:
    """CG for a symmetric operator, GMRES(30) for any other; with Jacobi's preconditioner where the diagonal is uneven.

    An uneven diagonal is one whose largest entry is over four times its mean: on a graph with hubs (degrees up to 2,452)
    Jacobi saves 4 of 5 products, on one with even degrees it costs half as many again. For the stages of a collocation method
    its form is a block for each node: half to an eighth of the iterations on such graphs. Elimination for Jacobians of up to
    32 unknowns: twice as fast there.
    """
    if not A.columnwise and A.shape[0] <= _SMALL and _is_local(space):
        return Elimination()
    inner = A.operator if isinstance(A, Shifted) else A
    if isinstance(inner, StackedOperator):
        uneven = chosen_by_diagonal(inner.operator, space.inner if isinstance(space, StackedSpace) else space)
        return GMRES(preconditioner=None if uneven is None else StageBlocks())
    chosen = chosen_by_diagonal(A, space)
    return CG(preconditioner=chosen) if A.symmetric else GMRES(preconditioner=chosen)


def _is_local(space: Space) -> bool:
    """Whether a state is all of the state, not the share of one process."""
    return _is_local(space.inner) if isinstance(space, StackedSpace) else isinstance(space, Plain | PerGraph)
