"""Small experiments behind FINDINGS.md; each takes seconds and prints its figures.

python paper_repro/findings.py NAME        # without a name: lists them
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torchdiffeq
from torch import Tensor, nn

from neuralpde import GRAND, Graph, GraphCON, as_graph, simulate
from neuralpde.datasets import karate_graph, load
from neuralpde.operators import Adjacency, Laplacian
from solvers import LinearFlow, solve

Figures = dict[str, float]


def degenerate_graphcon() -> Figures:
    """GraphCON by symplectic Euler against 20 layers of X <- relu(A X W + b): the difference over the size of the layers."""
    graph, channels, layers = karate_graph(), 8, 20
    u0 = torch.randn(graph.num_nodes, channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.manual_seed(0)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library says so too
        for alpha, gamma, dt in ((1.0, 1.0, 1.0), (1.0, 1.0, 0.5), (0.5, 1.0, 1.0)):
            pde = GraphCON(channels, alpha=alpha, gamma=gamma).double()
            with torch.no_grad():
                pde.weight.copy_(torch.rand(channels, channels, dtype=torch.float64) / 4)  # layers that do not die out
            bias = pde.bias if pde.bias is not None else torch.zeros(channels)
            adjacency, plain = Adjacency(graph, "sym", self_loops=True, dtype=torch.float64), u0
            for _ in range(layers):
                plain = torch.relu(adjacency.matvec(plain @ pde.weight) + bias)
            ours = simulate(pde, graph, u0, layers * dt, "symplectic_euler", dt=dt).u[-1]
            found[f"alpha {alpha:g}, gamma {gamma:g}, dt {dt:g}"] = float((ours - plain).abs().max() / plain.abs().max())
    return found


def adams_limits() -> Figures:
    """The largest h |lambda| for which Adams methods are stable on y' = lambda y with lambda < 0, by their roots."""
    found = {f"explicit, order {k}": _limit(k, newest=0) for k in (2, 3, 4, 5, 8, 11, 12)}
    return {**found, **{f"implicit, order {k}": _limit(k, newest=1) for k in (3, 4, 5, 8, 12)}}


def _limit(order: int, newest: int) -> float:
    """Halve the interval between a stable and an unstable z: all roots of rho - z sigma within the unit disk."""
    nodes = np.arange(newest, newest - order, -1, dtype=float)
    moments = [1 / (m + 1) for m in range(order)]
    weights = np.linalg.solve(np.vander(nodes, increasing=True).T, moments)  # exact for polynomials
    sigma = weights if newest else np.concatenate(([0.0], weights))
    rho = np.zeros(len(sigma))
    rho[:2] = 1.0, -1.0

    def stable(z: float) -> bool:
        return bool(np.abs(np.roots(rho + z * sigma)).max() <= 1 + 1e-10)

    low, high = 1e-6, 10.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low


def solvers_on_cora(data: str = "cora") -> Figures:
    """Relative errors at T = 12 of x' = (A - I) x / 2 with A the random walk with loops of weight 0.555, as in GRAND's study.

    The reference is the exact flow; "evaluations" are those of the field, or solves of a linear system.
    """
    graph = as_graph(load(data)) if data != "karate" else karate_graph()
    field = _walk(graph)
    y0 = torch.randn(graph.num_nodes, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    end = 12.0
    exact = solve(field, y0, (0.0, end), "uniformization", rtol=1e-10).y[-1]
    found: Figures = {}

    def note(name: str, y: Tensor, evaluations: int) -> None:
        found[f"{name}: error"] = float((y - exact).square().sum().sqrt() / exact.square().sum().sqrt())
        found[f"{name}: evaluations"] = evaluations

    for name, dt in (("ab4", 0.25), ("ab4", 0.5), ("rk4", 1.0), ("implicit_euler", 1.0)):
        got = solve(field, y0, (0.0, end), name, dt=dt, stability_check=False)
        note(f"{name}, step {dt:g}", got.y[-1], got.stats.steps if name == "implicit_euler" else got.stats.evaluations)
    for label, name, options in THEIRS:
        calls: list[int] = []

        def counted(t: Tensor, y: Tensor, calls: list[int] = calls) -> Tensor:
            calls.append(1)
            return field(t, y)

        times = torch.tensor([0.0, end], dtype=torch.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of its fixed-point iterations do not converge
            got = torchdiffeq.odeint(counted, y0, times, method=name, options=options)
        note(f"torchdiffeq {label}", got[-1], len(calls))
    return found


THEIRS = (
    ("explicit_adams, step 0.25", "explicit_adams", {"step_size": 0.25}),
    ("implicit_adams, step 1", "implicit_adams", {"step_size": 1.0}),
    ("implicit_adams, step 1, iterated", "implicit_adams", {"step_size": 1.0, "max_iters": 10_000}),
    ("implicit_adams, step 1, iterated, order 4", "implicit_adams", {"step_size": 1.0, "max_iters": 10_000, "max_order": 4}),
)
"""Methods of torchdiffeq as GRAND's released code calls them (with `max_iters` for the study of solvers), and at order 4."""


def _walk(graph: Graph) -> LinearFlow:
    """`x' = (A - I) x / 2`: minus the random walk's Laplacian, in which loops add to the degree only."""
    nodes = torch.arange(graph.num_nodes)
    edges = torch.cat([graph.edge_index, torch.stack([nodes, nodes])], 1)
    weight = torch.cat([torch.ones(graph.num_edges), torch.full((graph.num_nodes,), 0.555)]).double()
    looped = Graph.from_edges(edges, weight, graph.num_nodes)
    return LinearFlow(Laplacian(looped, "rw", dtype=torch.float64).generator(0.5))


def held_attention() -> Figures:
    """Sizes of the gradient that the queries of GRAND-l get when its attention is computed before the solve and held by it.

    Ours by backpropagation and by the adjoint equation, also when the weakest fifth of the edges is left out (the released
    code computes the attention for that without gradients), and torchdiffeq's adjoint on the same field.
    """
    graph = karate_graph()
    u0 = torch.randn(graph.num_nodes, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = {}
    for name, drop in (("all edges", 0.0), ("weakest fifth left out", 0.2)):
        for gradient in ("backprop", "adjoint"):
            torch.manual_seed(0)
            pde = GRAND(8, drop_weakest=drop).double()
            simulate(pde, graph, u0, 3.0, "dopri5", rtol=1e-8, atol=1e-8, gradient=gradient).u[-1].square().sum().backward()
            found[f"{name}, {gradient}"] = _size(pde.query.weight.grad)
    torch.manual_seed(0)
    pde = GRAND(8).double()
    held = _Held(pde.on(graph, u0), pde.alpha_raw)
    times = torch.tensor([0.0, 3.0], dtype=torch.float64)
    torchdiffeq.odeint_adjoint(held, u0, times, rtol=1e-8, atol=1e-8, method="dopri5")[-1].square().sum().backward()
    return {**found, "all edges, torchdiffeq's adjoint": _size(pde.query.weight.grad)}


class _Held(nn.Module):
    """A field that holds attention, with its rate as its own parameter; what made the attention stands outside."""

    def __init__(self, field: Callable[[Tensor, Tensor], Tensor], rate: nn.Parameter | None):
        super().__init__()
        self.field, self.rate = field, rate

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.field(t, y)


def _size(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else float(gradient.square().sum().sqrt())


def column_normalisation(data: str = "cora") -> Figures:
    """GRAND-l's attention before training, rows and columns normalised: sums of rows, and where x' = (A - I) x ends."""
    graph = as_graph(load(data, component="largest"))
    x = graph.node["x"].double()
    degree = torch.bincount(graph.edge_index[1], minlength=graph.num_nodes).double() + 1
    found = {}
    for norm in ("row", "col"):
        torch.manual_seed(0)
        pde = GRAND(x.shape[1], norm=norm, alpha=1.0).double()
        with torch.no_grad():
            operator = pde.on(graph, x).linear_part(torch.zeros(()), x)
            ones = torch.ones(graph.num_nodes, 1, dtype=torch.float64)
            sums = operator.matvec(ones) + 1
            end = solve(LinearFlow(operator), ones, (0.0, 2000.0), "uniformization").y[-1].flatten()
        found[f"{norm}: least sum of a row"] = float(sums.min())
        found[f"{norm}: largest sum of a row"] = float(sums.max())
        found[f"{norm}: largest value that ones end in"] = float(end.max())
        found[f"{norm}: least value that ones end in"] = float(end.min())
        if norm == "col":
            found["col: correlation of the end with the degree"] = float(torch.corrcoef(torch.stack([end, degree]))[0, 1])
    return found


def splits(data: str = "cora") -> Figures:
    """Nodes for training, validation and testing under each protocol."""
    found = {}
    for name, component in (("public", "all"), (("development", 0), "largest"), (("random", 0), "largest")):
        node = as_graph(load(data, split=name, component=component)).node
        kind = name if isinstance(name, str) else name[0]
        for part in ("train", "val", "test"):
            found[f"{kind}: {part}"] = int(node[f"{part}_mask"].sum())
    return found


FINDINGS = {
    "degenerate-graphcon": degenerate_graphcon,
    "adams-limits": adams_limits,
    "solvers-on-cora": solvers_on_cora,
    "held-attention": held_attention,
    "column-normalisation": column_normalisation,
    "splits": splits,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of a finding."""
    parser = argparse.ArgumentParser(prog="paper_repro/findings.py", description="Show a finding of FINDINGS.md.")
    parser.add_argument("name", nargs="?", choices=[*FINDINGS], metavar="NAME", help=", ".join(FINDINGS))
    name = parser.parse_args(arguments).name
    if name is None:
        for key, function in FINDINGS.items():
            print(f"{key:22s} {(function.__doc__ or '').splitlines()[0]}")
        return 0
    for what, value in FINDINGS[name]().items():
        print(f"{what:60s} {value:.6g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
