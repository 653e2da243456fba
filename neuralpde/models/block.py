"""An equation as a layer: features in, features at time t out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import torch
from torch import Tensor, nn

from solvers import Integrator, SolveOptions, StabilityError, Stats, method_named

from ..graph import Graph, as_graph
from ..monitors.base import Monitor
from ..pdes.base import GraphPDE
from ..simulate import Simulation, check_options, simulate
from .inputs import read_inputs
from .memory import warn_of_memory
from .quadrature import Quadrature, integrate_along, nodes_and_weights

if TYPE_CHECKING:
    from torch_geometric.data import Data


class PDEBlock(nn.Module):
    """The solution operator of an equation, u(0) -> u(t), on whatever graph it is called with.

    `du/dt = F_theta(u)`, `u(0) = x`, output `u(t)`. Gradients reach `x`, the edge weights and the equation's parameters,
    by backpropagation through the steps or, with `gradient=`, by one of the ways that need less memory: "checkpoint",
    "reversible" (symplectic methods), "adjoint"; see `solvers.solve`.

    Args:
        pde: the equation.
        t: how long it runs, in its own unit of time; positive.
        method: name of an integrator, or an `Integrator`.
        **options: those of `solvers.solve` (`dt`, `rtol`, `atol`, `gradient`, ...), except `save`.

    Attributes:
        stats: what the last call cost (evaluations, steps, linear iterations); None before the first.
        quadratures: what every call in training integrates along its solution (`fit` sets them to regularise); none at first.
        integrals: these, `[graphs]` each, of the last call in training, with their gradients.

    Raises:
        ValueError: `t` is not positive, or an option is unknown.

    An explicit step beyond its stability limit is refused by `simulate`; here it is warned of, once. So is a solve whose
    steps will not fit into memory for backpropagation, before it begins.

    Reference: Chen, Rubanova, Bettencourt, Duvenaud (2018), Neural ordinary differential equations; Poli et al. (2019),
    Graph neural ordinary differential equations.
    """

    def __init__(self, pde: GraphPDE, t: float = 1.0, method: str | Integrator = "dopri5", **options: Unpack[SolveOptions]):
        super().__init__()
        if not 0 < t < float("inf"):
            raise ValueError(f"t = {t}; expected a positive final time")
        for name in options:
            if name == "save":
                raise ValueError("a PDEBlock keeps the final state only, so it takes no save=; block.simulate gives more")
        check_options(options)
        if method != "auto":
            method_named(method)
        self.pde, self.t, self.method, self.options = pde, float(t), method, options
        self.stats: Stats | None = None
        self.quadratures: Sequence[Quadrature] = ()
        self.integrals: Sequence[Tensor] = ()
        self._warned = False
        self._weighed: tuple[object, ...] | None = None  # the solve whose memory was looked at last

    def forward(
        self,
        x: Tensor | Graph | Data,
        edge_index: Tensor | Graph | Data | None = None,
        edge_weight: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Features at time t.

        Args:
            x: a `Graph` or `Data` with features `x`, or the features, `[nodes, channels]`.
            edge_index: `[2, E]` (or a `Graph`), if `x` is the features.
            edge_weight: `[E]`.
            batch: `[nodes]`, the graph of each node in a block-diagonal batch.

        Returns:
            `[nodes, channels]`.

        Raises:
            ValueError: the features do not fit the graph or the equation.
            IntegrationError: the solve fails; `.solution` holds what was computed until then.
        """
        graph, u0 = read_inputs(x, edge_index, edge_weight, batch)
        if self.quadratures and self.training and torch.is_grad_enabled():
            return self._with_integrals(graph, u0)
        return self.simulate(graph, u0, self.t, save="final").u[-1]

    def _with_integrals(self, graph: Graph, u0: Tensor) -> Tensor:
        times, weights = nodes_and_weights(self.method, self.options.get("dt"), self.t)
        run = self.simulate(graph, u0, times)
        space = self.options.get("space") or graph.space
        self.integrals = integrate_along(self.quadratures, run.field, times, weights, run.solution.y, space)
        looks = len(self.quadratures) * len(times) if weights else len(times) + len(self.quadratures) * (2 * len(times) - 1)
        self.stats = replace(run.stats, evaluations=run.stats.evaluations + looks)
        return run.u[-1]

    def simulate(
        self,
        graph: Graph | Data,
        u0: Tensor,
        t: Tensor | Sequence[float] | float,
        *,
        save: str = "times",
        monitors: Sequence[Monitor] = (),
    ) -> Simulation:
        """The solve that `forward` does, at other times, with all that a `Simulation` tells; see `neuralpde.simulate`."""
        options: SolveOptions = {**self.options, "save": save}
        graph = as_graph(graph)
        self._weigh(graph, u0)
        if self._warned:
            options["stability_check"] = False
        try:
            result = simulate(self.pde, graph, u0, t, self.method, monitors=monitors, **options)
        except StabilityError as error:
            warnings.warn(f"{error} The block goes on with this step and says so once.", stacklevel=5)
            self._warned = True
            options["stability_check"] = False
            result = simulate(self.pde, graph, u0, t, self.method, monitors=monitors, **options)
        self.stats = result.stats
        return result

    def _weigh(self, graph: Graph, u0: Tensor) -> None:
        """Look at the memory of a solve that needs a gradient, once for each size of the problem."""
        size = (u0.shape, graph.num_edges, self.t)
        if torch.is_grad_enabled() and size != self._weighed:
            self._weighed = size
            warn_of_memory(self.pde, graph, u0, self.t, self.method, self.options, stacklevel=6)

    def extra_repr(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"t={self.t:g}, method={self.method!r}{settings}"
