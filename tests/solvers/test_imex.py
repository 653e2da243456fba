"""Methods for semilinear fields: order where L varies with t and y, restarts, reuse of solvers, refusals, stiffness."""

import math
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from problems import Riccati, dense_laplacian, errors, slope
from torch import Tensor

from solvers import (
    ARS222,
    ARS443,
    CG,
    CNAB2,
    SBDF2,
    SBDF3,
    SDIRK2,
    CrankNicolson,
    Dense,
    Euler,
    KenCarp3,
    KenCarp4,
    Leapfrog,
    Lie,
    LinearFlow,
    LinearOperator,
    Problem,
    RosenbrockW,
    Strang,
    solve,
)

TIGHT = {"rtol": 1e-12, "atol": 1e-14}
IMEX = [ARS222(), ARS443(), KenCarp3(), KenCarp4(), CNAB2(), SBDF2(), SBDF3()]
named = {"ids": lambda m: m.name}
PATH = torch.tensor([[-1.0, 1.0, 0.0], [1.0, -2.0, 1.0], [0.0, 1.0, -1.0]], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Varying:
    """`y' = L(t, y) y + g(t, y)`, the solution that of `Riccati`: L is PATH times `0.5 + t`, or times `1 + |y|^2 / 9`."""

    of: str

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return Dense(PATH * ((0.5 + t) if self.of == "t" else 1 + y.square().sum() / 9), symmetric=True)

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        known = Riccati().exact(float(t))
        return Riccati()(t, y) - self.linear_part(t, known if self.of == "t" else y).matvec(known)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)


@pytest.mark.parametrize("of", ["t", "y"])
@pytest.mark.parametrize("method", [*IMEX, Lie(), Strang()], **named)
def test_order_where_the_operator_varies(method, of):
    field, steps, found = Varying(of), [16, 32, 64], []
    for count in steps:
        sol = solve(field, Riccati().exact(0.0), [0.0, 1.0], method, dt=1 / count, **TIGHT)
        found.append(errors(sol.y[-1], Riccati().exact(1.0)))
    assert slope(steps, found) > method.order - 0.3


@pytest.mark.parametrize("matrix", ["jacobian", "linear_part"])
def test_order_of_the_w_method_with_either_matrix(matrix):
    field, steps, found = Varying("y"), [16, 32, 64], []
    for count in steps:
        sol = solve(field, Riccati().exact(0.0), [0.0, 1.0], RosenbrockW(matrix=matrix), dt=1 / count, **TIGHT)
        found.append(errors(sol.y[-1], Riccati().exact(1.0)))
    assert slope(steps, found) > 2.8


@dataclass(frozen=True, eq=False)
class Reaction:
    """`u' = -k L u + u - u^3` on a path of n nodes, stiff in its linear part: a front that settles."""

    laplacian: LinearOperator
    scale: float = 400.0

    def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
        return -self.scale * self.laplacian  # made anew at every call, of the same tensors

    def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
        return y - y**3

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.linear_part(t, y).matvec(y) + self.nonlinear_part(t, y)


def front(n: int = 40) -> tuple[Reaction, Tensor]:
    x = torch.linspace(-1, 1, n, dtype=torch.float64).unsqueeze(1)
    return Reaction(dense_laplacian("path", n)), 0.5 * torch.sin(3 * x) + 0.2


@cache
def front_at_2() -> Tensor:
    field, y0 = front()
    return solve(field, y0, [0.0, 2.0], "dopri5", rtol=1e-9).y[-1]


@pytest.mark.parametrize("method", [*IMEX, Strang(), Lie()], **named)
def test_stiff_linear_part_with_large_steps(method):
    """dt times the largest eigenvalue is 80, where an explicit method needs about 2; CNAB2 rings, but stays."""
    field, y0 = front()
    sol = solve(field, y0, [0.0, 2.0], method, dt=0.05)
    assert errors(sol.y[-1], front_at_2()) < (0.05 if method.order == 1 else 2e-2 if method.name == "CNAB2" else 3e-3)


@pytest.mark.parametrize("method", [KenCarp3(), KenCarp4()], **named)
def test_adaptive_steps_on_a_stiff_linear_part(method):
    field, y0 = front()
    for rtol in (1e-4, 1e-6):
        sol = solve(field, y0, [0.0, 2.0], method, rtol=rtol)
        assert errors(sol.y[-1], front_at_2()) < 30 * rtol
        assert sol.stats.evaluations < 1000 and sol.stats.rejected < 0.3 * sol.stats.accepted


@pytest.mark.parametrize("method", [ARS222(linear_solver=CG()), SBDF2(linear_solver=CG())], **named)
def test_what_is_prepared_for_an_operator_serves_again(method):
    """The operator is an object of its own at every call, but made of the same tensors."""
    field, y = front()
    problem, prepared = Problem(field), []
    state, _ = method.init(problem, 0.0, y)
    for n in range(4):
        step = method.step(problem, 0.1 * n, 0.1, y, state)
        y, state = step.y, step.state
        prepared.append(state.solver.prepared)
    assert prepared[-1] is prepared[-2]
    shorter = method.step(problem, 0.4, 0.05, y, state)
    assert shorter.state.solver.prepared is not prepared[-1]


@pytest.mark.parametrize("method", [CNAB2(), SBDF2(), SBDF3()], **named)
def test_multistep_methods_restart_when_the_step_changes(method):
    """Outputs off the grid shorten steps; the order is that of equal steps."""
    steps, found = [64, 128, 256], []
    for count in steps:
        times = [0.0, 0.237, 0.531, 1.0]
        sol = solve(Varying("t"), Riccati().exact(0.0), times, method, dt=1 / count, **TIGHT)
        found.append(max(errors(y, Riccati().exact(t)) for t, y in zip(times, sol.y, strict=True)))
    assert slope(steps, found) > method.order - 0.3


@pytest.mark.parametrize("method", [CNAB2(), SBDF2()], **named)
def test_one_system_and_one_evaluation_a_step(method):
    field, y0 = front(8)
    assert solve(field, y0, [0.0, 1.0], method, dt=0.1).stats.evaluations == 10 + 2  # the first step takes three


@pytest.mark.parametrize("method", [*IMEX, Lie(), Strang()], **named)
def test_a_linear_flow_qualifies(method):
    matrix = -dense_laplacian("path", 6).matrix
    source = torch.linspace(0, 1, 6, dtype=torch.float64).unsqueeze(1)
    flow = LinearFlow(Dense(matrix, symmetric=True), source)
    y0 = torch.ones(6, 1, dtype=torch.float64)
    exact = solve(flow, y0, [0.0, 1.0], "dopri5", rtol=1e-10).y[-1]
    assert errors(solve(flow, y0, [0.0, 1.0], method, dt=0.02).y[-1], exact) < (2e-2 if method.order == 1 else 1e-3)


@pytest.mark.parametrize("method", [*IMEX, Lie(), Strang()], **named)
def test_a_field_without_parts_is_refused(method):
    with pytest.raises(TypeError, match=r"linear_part\(t, y\).*nonlinear_part"):
        solve(lambda t, y: -y, torch.ones(3, 1), [0.0, 1.0], method, dt=0.1)


def test_settings_are_checked():
    with pytest.raises(TypeError, match="linear_solver"):
        ARS222(linear_solver="cg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="linear_rtol"):
        SBDF2(linear_rtol=2.0)
    with pytest.raises(ValueError, match="matrix"):
        RosenbrockW(matrix="hessian")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="linear is a str"):
        Strang(linear="sdirk2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="partitioned"):
        Strang(rest=Leapfrog())
    with pytest.raises(TypeError, match="linear_part"):
        solve(lambda t, y: -y, torch.ones(3, 1), [0.0, 1.0], RosenbrockW(matrix="linear_part"), dt=0.1)


@pytest.mark.parametrize("linear", [SDIRK2(), CrankNicolson()], **named)
@pytest.mark.parametrize("kind, order", [(Lie, 1), (Strang, 2)])
def test_order_of_splitting_with_other_methods(kind, order, linear):
    steps, found = [16, 32, 64], []
    for count in steps:
        method = kind(linear=linear, rest=Euler() if kind is Lie else Strang().rest)
        sol = solve(Varying("t"), Riccati().exact(0.0), [0.0, 1.0], method, dt=1 / count, **TIGHT)
        found.append(errors(sol.y[-1], Riccati().exact(1.0)))
    assert slope(steps, found) == pytest.approx(order, abs=0.2)


def test_strang_splitting_is_exact_where_the_parts_commute():
    """`y' = -2 y + 3 y`: each part by its own method, no error of splitting."""

    @dataclass(frozen=True, eq=False)
    class Scalar:
        def linear_part(self, t: Tensor, y: Tensor) -> LinearOperator:
            return Dense(-2 * torch.eye(1, dtype=torch.float64), symmetric=True)

        def nonlinear_part(self, t: Tensor, y: Tensor) -> Tensor:
            return 3 * y

        def __call__(self, t: Tensor, y: Tensor) -> Tensor:
            return y

    sol = solve(Scalar(), torch.ones(1, 1, dtype=torch.float64), [0.0, 1.0], Strang(), dt=0.01, **TIGHT)
    assert float(sol.y[-1]) == pytest.approx(math.e, rel=2e-5)
