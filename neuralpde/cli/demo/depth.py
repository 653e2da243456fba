"""Part 3: what depth does to features, layer by layer, in networks whose weights are random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...datasets import digits_graph
from ...graph import Graph
from ...monitors import DirichletEnergy, EffectiveRank, Monitor, Norm, RayleighQuotient, Verdict, verdict
from ...pdes import Diffusion, GraphCON
from ...simulate import simulate
from ...training import seeded
from .part import Tick

PANELS = ("Dirichlet energy", "Rayleigh quotient", "norm", "effective rank")


@dataclass(frozen=True)
class Oscillators:
    """A GraphCON to run: its coupling, damping and step (gamma = 1, new random weights in every layer)."""

    coupling: str
    alpha: float
    dt: float

    @property
    def name(self) -> str:
        return f"GraphCON-{self.coupling.upper()}, alpha = {self.alpha:g}, dt = {self.dt:g}"


@dataclass(frozen=True)
class DepthSetup:
    """What is computed.

    Args:
        layers: depth.
        width: channels.
        seed: of the weights.
        oscillators: the GraphCONs.
    """

    layers: int = 96
    width: int = 32
    seed: int = 0
    oscillators: tuple[Oscillators, ...] = (
        Oscillators("gcn", 0.0, 1.0),
        Oscillators("gcn", 0.0, 0.1),
        Oscillators("gcn", 0.5, 1.0),
        Oscillators("gcn", 0.5, 0.1),
        Oscillators("gat", 0.5, 1.0),
        Oscillators("gat", 0.5, 0.1),
    )


@dataclass(frozen=True, eq=False)
class Descent:
    """One network, layer by layer.

    Args:
        name: of the network.
        normalization: the Laplacian that energy and Rayleigh quotient are taken with: its kernel is the one that the
            network's own operator keeps.
        values: per panel, `[layers + 1]`; layer 0 is the input.
    """

    name: str
    normalization: str
    values: dict[str, Tensor]

    @property
    def verdict(self) -> Verdict:
        layers = torch.arange(len(self.values["norm"]), dtype=torch.float64)
        return verdict(layers, self.values["Dirichlet energy"], self.values["norm"], self.values["effective rank"])

    def record(self) -> dict[str, object]:
        """First and last values, and the verdict."""
        ends = {f"{name}, {end}": float(self.values[name][k]) for name in PANELS for end, k in (("first", 0), ("last", -1))}
        found = self.verdict
        return {
            "network": self.name,
            "laplacian": self.normalization,
            **ends,
            "verdict": found.meaning,
            "details": str(found),
        }


def descend(setup: DepthSetup, tick: Tick) -> list[Descent]:
    """Run every network on the digits' 8-nearest-neighbour graph, from the same features."""
    graph = digits_graph()
    with seeded(setup.seed), torch.no_grad():
        x = graph.node["x"].double()
        x0 = x @ nn.init.xavier_uniform_(torch.empty(x.shape[1], setup.width, dtype=torch.float64))
        jobs: list[Callable[[], Descent]] = [
            lambda: _network("GCN", graph, x0, setup.layers),
            lambda: _network("GAT", graph, x0, setup.layers),
            lambda: _diffusion(graph, x0, setup.layers),
            *(lambda o=o: _oscillators(o, graph, x0, setup.layers) for o in setup.oscillators),
        ]
        out = []
        for i, job in enumerate(jobs):
            tick(i / len(jobs), out[-1].name if out else "GCN")
            out.append(job())
    return out


def observables(normalization: str) -> dict[str, DirichletEnergy | RayleighQuotient | Norm | EffectiveRank]:
    """The four quantities that are only ever read together."""
    four = (DirichletEnergy(normalization), RayleighQuotient(normalization), Norm(), EffectiveRank())
    return dict(zip(PANELS, four, strict=True))


def _network(kind: str, graph: Graph, x: Tensor, layers: int) -> Descent:
    """PyG's layers with fresh Glorot weights and ReLU."""
    from torch_geometric.nn import GATConv, GCNConv

    width, normalization = x.shape[1], "sym_loops" if kind == "GCN" else "rw"
    readings = {name: o.on(graph) for name, o in observables(normalization).items()}
    rows = {name: [reading(0.0, x)] for name, reading in readings.items()}
    for layer in range(1, layers + 1):
        conv = GCNConv(width, width) if kind == "GCN" else GATConv(width, width // 4, heads=4)
        x = conv.double()(x, graph.edge_index).relu()
        for name, reading in readings.items():
            rows[name].append(reading(float(layer), x))
    return Descent(kind, normalization, {name: torch.cat(values) for name, values in rows.items()})


def _diffusion(graph: Graph, x: Tensor, layers: int) -> Descent:
    watchers = {name: Monitor(o) for name, o in observables("rw").items()}
    pde = Diffusion(normalization="rw")
    simulate(pde, graph, x, float(layers), "implicit_euler", dt=1.0, save="final", monitors=list(watchers.values()))
    return Descent("diffusion, dt = 1", "rw", {name: m.values[:, 0] for name, m in watchers.items()})


def _oscillators(o: Oscillators, graph: Graph, x: Tensor, layers: int) -> Descent:
    normalization = "sym_loops" if o.coupling == "gcn" else "rw"
    watchers = {name: Monitor(one) for name, one in observables(normalization).items()}
    pde = GraphCON(x.shape[1], o.coupling, o.alpha, layers=layers, dt=o.dt).double()  # type: ignore[arg-type]
    seen = list(watchers.values())
    simulate(pde, graph, x, layers * o.dt, "symplectic_euler", dt=o.dt, save="final", monitors=seen)
    return Descent(o.name, normalization, {name: m.values[:, 0] for name, m in watchers.items()})
