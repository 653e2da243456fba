"""The contract of an equation, tested on a graph: `print(check(pde, graph))`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .contract import field, gradients, laws
from .contract.report import Report, Row
from .contract.trial import Trial, make_trial, noise
from .graph import Graph, as_graph
from .pdes.base import GraphPDE

if TYPE_CHECKING:
    from torch_geometric.data import Data

SAME_TWICE = "same value twice"
Test = Callable[[Trial], Row | None]
TESTS: tuple[tuple[str, Test], ...] = (
    ("shape, dtype, device", field.shape_dtype_device),
    (SAME_TWICE, field.same_twice),
    ("relabelling", field.relabelling),
    ("graphs in a batch", field.batching),
    ("gradients reach every parameter", gradients.gradients_reach_every_parameter),
    ("adjoint = backprop", gradients.adjoint_is_backprop),
    ("structure adds up to f", laws.parts_add_up),
    ("<Ax, z> = <x, A'z>", laws.adjoint_of_the_operator),
    ("conservation", laws.conservation),
    ("energy", laws.energy_law),
    ("stability limit", laws.stability_limit),
)


def check(pde: GraphPDE, graph: Graph | Data, u0: Tensor | None = None, *, seed: int = 0) -> Report:
    """Test what the package promises of an equation, for one of your own.

    Tested, in float64 and evaluation mode, at a random state: shape, dtype and device, also in float32; that a second
    evaluation gives the same; that numbering the nodes otherwise changes nothing else; that two copies of the graph in a
    batch do not see each other; that gradients reach every parameter, and are the same by the adjoint equation as by
    backprop; that the linear part, positions and momenta that the field offers add up to it, and adjoints and bounds of its
    operators are right; the law of conservation (`pde.conserved(graph)`: masses m with sum_i m_i u_i constant) and of energy
    (`pde.energy_law`, "constant" or "decreasing", of `field.energy(t, y, space)`) that the equation declares. The stability
    limit of explicit steps is reported where the field is linear.

    Args:
        pde: the equation; it is copied, not changed.
        graph: where to test it; small is enough.
        u0: features `[N, C]`, if random ones (standard normal) make no sense for the equation.
        seed: of the random state.

    Returns:
        A `Report`: `.ok`, `.rows`, and a table as text.

    Example:
        >>> from neuralpde import Graph, check
        >>> from neuralpde.pdes import Diffusion
        >>> check(Diffusion(0.5), Graph.grid(3, 3)).ok
        True
    """
    graph = as_graph(graph).to(dtype=torch.float64)
    pde = copy.deepcopy(pde).double().eval()
    if u0 is None:
        u0 = noise(torch.empty(graph.num_nodes, pde.channels or 3, dtype=torch.float64, device=graph.device), seed)
    u0 = (u0.unsqueeze(1) if u0.dim() == 1 else u0).detach().to(graph.device, torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            trial = make_trial(pde, graph, u0, seed)
        except Exception as error:
            return Report(type(pde).__name__, (_crashed("evaluates", error),))
        rows = _run(trial)
    return Report(type(pde).__name__, rows)


def _run(trial: Trial) -> tuple[Row, ...]:
    rows: list[Row] = []
    for name, test in TESTS:
        row = _guarded(name, test, trial)
        if row is None:
            continue
        rows.append(row)
        if name == SAME_TWICE and not row.passed:
            rows.append(Row("everything else", None, "needs a field that gives the same value twice", "", ""))
            break
    return tuple(rows)


def _guarded(name: str, test: Test, trial: Trial) -> Row | None:
    try:
        return test(trial)
    except Exception as error:
        return _crashed(name, error)


def _crashed(name: str, error: Exception) -> Row:
    return Row(
        name, False, f"{type(error).__name__}: {error}", "no error", "call pde.on(graph, u0)(t, y) yourself to see where"
    )
