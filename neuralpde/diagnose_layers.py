"""What the layers of a network do to the features: hooks on its graph convolutions, for one network or for several depths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from solvers import VectorField

from .diagnose_fit import Array
from .graph import Graph
from .monitors import attach
from .monitors.base import Observable, Reading

Call = Callable[[nn.Module, Tensor, Graph], object]

SYMMETRIC = {"GCNConv", "GCN2Conv", "SGConv", "SSGConv", "APPNP"}  # they use (D + 1)^-1/2 (A + I) (D + 1)^-1/2
SUMMING = {"GINConv", "GINEConv", "GraphConv"}  # they add up neighbours: no energy is theirs


@dataclass(frozen=True, eq=False)
class Profile:
    """Records of layers of equal width.

    Attributes:
        t: layers or depths.
        series: name -> values.
        layers: the convolutions that made the records (of the deepest network).
        count: records of every width, those left out included.
    """

    t: Array
    series: dict[str, Array]
    layers: list[nn.Module]
    count: int


@dataclass(frozen=True, eq=False)
class _Width(Observable):
    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        return lambda t, y: torch.tensor([float(y.shape[1])])


@dataclass(frozen=True, eq=False)
class _Kept(Observable):
    """Keeps the features themselves."""

    states: list[Tensor]

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        def keep(t: float, y: Tensor) -> Tensor:
            self.states.append(y.detach().clone())
            return torch.zeros(1)

        return keep


def _common(widths: list[int], name: str) -> list[int]:
    """Which records have the commonest width."""
    width = Counter(widths).most_common(1)[0][0] if widths else 0
    kept = [i for i, w in enumerate(widths) if w == width]
    if len(kept) < 2:
        raise ValueError(
            f"{name} has no two layers of equal width with one row per node (widths seen: {widths}); "
            "give depths=[2, 4, 8, ...] and a function of the depth, or a network with hidden layers of one width"
        )
    return kept


def by_edges(model: nn.Module, x: Tensor, graph: Graph) -> object:
    """`model(x, edge_index)`, as PyG's networks are called."""
    return model(x, graph.edge_index)


def convolutions(model: nn.Module) -> list[nn.Module]:
    """PyG's convolutions inside a network, those of its own kind first; none of them lies in another."""
    from torch_geometric.nn import MessagePassing

    found = [(name, m) for name, m in model.named_modules() if isinstance(m, MessagePassing)]
    return [m for name, m in found if not any(name.startswith(f"{other}.") for other, _ in found if other != name)]


def layerwise(model: nn.Module, x: Tensor, graph: Graph, observables: Mapping[str, Observable], call: Call) -> Profile:
    """Run a network once, in evaluation mode, and read its layers of the commonest width; the rest is left out.

    Raises:
        ValueError: fewer than two layers of equal width were seen.
    """
    kinds = tuple({type(m) for m in convolutions(model)})
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), attach(model, [_Width(), *observables.values()], graph, only=kinds or None) as recording:
            call(model, x, graph)
    finally:
        model.train(training)
    names = recording.names
    widths = [int(w) for w in recording.monitors[0].values[:, 0]] if names else []
    kept = _common(widths, type(model).__name__)
    modules = dict(model.named_modules())
    layers = [modules[names[i].split(" (")[0]] for i in kept]
    read = zip(observables, recording.monitors[1:], strict=True)
    series = {key: m.values[kept, 0].cpu().numpy().astype(np.float64) for key, m in read}
    return Profile(np.asarray(kept, dtype=np.float64) + 1, series, layers, len(names))


def layer_states(model: nn.Module, x: Tensor, graph: Graph, call: Call) -> tuple[Tensor, Tensor]:
    """The layers of the commonest width of a network, `[layers]`, and their features, `[layers, N, width]`.

    Raises:
        ValueError: see `layerwise`.
    """
    seen: list[Tensor] = []
    kinds = tuple({type(m) for m in convolutions(model)})
    keep = _Kept(seen)
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), attach(model, keep, graph, only=kinds or None):
            call(model, x, graph)
    finally:
        model.train(training)
    kept = _common([state.shape[1] for state in seen], type(model).__name__)
    return torch.tensor(kept, dtype=torch.float64) + 1, torch.stack([seen[i] for i in kept])


def made(make: Callable[[int], nn.Module], depths: Sequence[int], x: Tensor) -> list[nn.Module]:
    """The networks of several depths.

    Raises:
        ValueError: depths that do not increase, or fewer than two.
        TypeError: `make` does not make networks.
    """
    depths = list(depths)
    if len(depths) < 2 or any(b <= a for a, b in pairwise(depths)):
        raise ValueError(f"depths = {depths}; expected at least two, increasing")
    models = [make(depth) for depth in depths]
    for model in models:
        if not isinstance(model, nn.Module):
            raise TypeError(f"the function of the depth returned a {type(model).__name__}; expected an nn.Module")
    return [model.to(x.device) for model in models]


def by_depth(
    models: Sequence[nn.Module],
    depths: Sequence[int],
    x: Tensor,
    graph: Graph,
    observables: Mapping[str, Observable],
    call: Call,
) -> Profile:
    """The last layer of the common width of each network."""
    last = [layerwise(model, x, graph, observables, call) for model in models]
    series = {name: np.array([one.series[name][-1] for one in last]) for name in last[0].series}
    return Profile(np.asarray(list(depths), dtype=np.float64), series, last[-1].layers, last[-1].count)


def is_linear(model: nn.Module, x: Tensor, graph: Graph, call: Call) -> bool:
    """Whether `f(a + b) - f(a) = f(b)` on features of both signs, to rounding; a model that raises counts as nonlinear."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x) for _ in range(2))
    training = model.training
    model.eval()
    with torch.no_grad():
        outputs = [call(model, one, graph) for one in (a + b, a, b)]
    model.train(training)
    if not all(isinstance(one, Tensor) for one in outputs):
        return False
    whole, left, right = (one.double() for one in outputs)  # type: ignore[union-attr]
    return bool((whole - left - right).abs().amax() <= 1e-4 * whole.abs().amax())
