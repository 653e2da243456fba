"""An equation on a graph for a time: the few lines that join equations and integrators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from torch import Tensor

from solvers import Integrator, Solution, SolveOptions, Stats, VectorField, solve, unknown

from .graph import Graph, as_graph
from .monitors.base import Monitor
from .pdes.base import GraphPDE

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class Simulation:
    """The result of `simulate`.

    Attributes:
        t: times of the saved states, `[times]`.
        u: node features there, `[times, nodes, channels]`.
        stats: steps, evaluations, products, linear iterations.
        status: "ok" or "event".
        solution: the solver's own result (the whole state, `solution(t)` with `save="dense"`).
        field: the vector field that was solved.
    """

    t: Tensor
    u: Tensor
    stats: Stats
    status: str
    solution: Solution
    field: VectorField

    @property
    def message(self) -> str:
        return self.solution.message


def simulate(
    pde: GraphPDE,
    graph: Graph | Data,
    u0: Tensor,
    t: Tensor | Sequence[float] | float,
    method: str | Integrator = "auto",
    *,
    monitors: Sequence[Monitor] = (),
    **options: Unpack[SolveOptions],
) -> Simulation:
    """Solve an equation on a graph from the initial features `u0`.

    Args:
        pde: the equation.
        graph: a `Graph` or a PyG `Data`.
        u0: initial node features, `[nodes, channels]` (or `[nodes]`: one channel).
        t: a final time, or times at which the features are wanted (the first is the initial time).
        method: name of an integrator or an `Integrator`; "auto" chooses by the equation's structure.
        monitors: recorders; each is attached to this solve and filled by it.
        **options: those of `solvers.solve` (`dt`, `rtol`, `atol`, `gradient`, `save`, ...).

    Returns:
        A `Simulation`.

    Raises:
        ValueError: for features that do not fit the graph, or an unknown option.
        IntegrationError: if the solve fails; `.solution` holds what was computed until then.
    """
    _check_arguments(pde, u0, monitors, list(options))
    graph = as_graph(graph)
    u0 = _features(graph, u0, pde)
    field, y0 = pde.on(graph, u0), pde.lift(graph, u0)
    span = _span(t)
    watchers = [m.attach(graph, field, span, pde.read) for m in monitors]
    options["callbacks"] = [*options.get("callbacks", ()), *watchers]
    options.setdefault("space", graph.space)
    solution = solve(field, y0, t, method, **options)
    return Simulation(solution.t, pde.read(solution.y), solution.stats, solution.status, solution, field)


_OTHER_NAMES = {"step_size": "dt", "stepsize": "dt", "h": "dt", "tol": "rtol", "adjoint": "gradient"}


def check_options(names: Iterable[str]) -> None:
    """Raise ValueError for a name that is no option of `solve`, with the one that may be meant."""
    for name in names:
        if name in _OTHER_NAMES:
            raise ValueError(f"no option {name!r}; it is called {_OTHER_NAMES[name]!r} here")
        if name not in SolveOptions.__annotations__:
            raise unknown("option", name, SolveOptions.__annotations__)


def _check_arguments(pde: object, u0: object, monitors: object, options: Sequence[str]) -> None:
    check_options(options)
    if not isinstance(pde, GraphPDE):
        kind = f"the class {pde.__name__}; pass an instance" if isinstance(pde, type) else f"a {type(pde).__name__}"
        raise TypeError(f"pde is {kind}; expected a GraphPDE such as Diffusion() (arguments: pde, graph, u0, t)")
    if not isinstance(u0, Tensor):
        raise TypeError(f"u0 is a {type(u0).__name__}; expected a torch.Tensor, as torch.as_tensor(u0) makes one")
    if isinstance(monitors, Monitor) or not isinstance(monitors, Sequence):
        raise TypeError(f"monitors is a {type(monitors).__name__}; expected a list, monitors=[...]")
    for m in monitors:
        if not isinstance(m, Monitor):
            raise TypeError(f"monitors holds a {type(m).__name__}; expected Monitor({type(m).__name__}(), every=...)")


def _features(graph: Graph, u0: Tensor, pde: GraphPDE) -> Tensor:
    u0 = u0.unsqueeze(1) if u0.dim() == 1 else u0
    if u0.dim() != 2 or u0.shape[0] != graph.num_nodes:
        raise ValueError(f"u0 has shape {tuple(u0.shape)}; expected ({graph.num_nodes}, channels), one row per node")
    if pde.channels is not None and u0.shape[1] != pde.channels:
        raise ValueError(
            f"u0 has {u0.shape[1]} channels, {type(pde).__name__} acts on {pde.channels}; put the change in an encoder"
        )
    for name, parameter in pde.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != u0.dtype:
            raise ValueError(
                f"u0 is {_short(u0)} and parameter {name!r} is {_short(parameter)}; "
                f"use u0.to(torch.{_short(parameter)}) or pde.to(torch.{_short(u0)})"
            )
    return u0


def _short(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _span(t: Tensor | Sequence[float] | float) -> tuple[float, float]:
    if not isinstance(t, int | float) and len(t if not isinstance(t, Tensor) else t.reshape(-1)) == 0:
        raise ValueError("t holds no times; expected a final time, or times of which the first is the initial one")
    if isinstance(t, Tensor):
        values = t.detach().reshape(-1)
        return (0.0, float(values[0])) if values.numel() == 1 else (float(values[0]), float(values[-1]))
    if isinstance(t, int | float):
        return 0.0, float(t)
    return float(t[0]), float(t[-1])
