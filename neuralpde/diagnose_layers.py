"""What the layers of a network do to the features: hooks on its graph convolutions, for one network or for several depths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from solvers import VectorField

from .diagnose_fit import Array
from .graph import Graph
from .models import PDEBlock
from .monitors import Recording, attach
from .monitors.base import Observable, Reading
from .training.evaluate import evaluating

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


def by_edges(model: nn.Module, x: Tensor, graph: Graph) -> object:
    """`model(x, edge_index)`, as PyG's networks are called."""
    return model(x, graph.edge_index)


def convolutions(model: nn.Module) -> list[nn.Module]:
    """PyG's convolutions inside a network, those of its own kind first; none of them lies in another."""
    from torch_geometric.nn import MessagePassing

    found = [(name, m) for name, m in model.named_modules() if isinstance(m, MessagePassing)]
    return [m for name, m in found if not any(name.startswith(f"{other}.") for other, _ in found if other != name)]


@dataclass(frozen=True, eq=False)
class _Latest(Observable):
    """Keeps the last features of every width."""

    features: dict[int, Tensor] = field(default_factory=dict)

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        def keep(t: float, y: Tensor) -> Tensor:
            self.features[y.shape[1]] = y
            return torch.zeros(1)

        return keep


def layerwise(model: nn.Module, x: Tensor, graph: Graph, observables: Mapping[str, Observable], call: Call) -> Profile:
    """Run a network once, in evaluation mode, and read its layers of the commonest width; the rest is left out.

    Raises:
        ValueError: fewer than two layers of equal width were seen.
    """
    recording, kept, _ = _seen(model, x, graph, [*observables.values()], call, _kinds(model))
    _check_several(model, recording, kept)
    read = zip(observables, recording.monitors[1:], strict=True)
    series = {key: m.values[kept, 0].cpu().numpy().astype(np.float64) for key, m in read}
    return Profile(np.asarray(kept, dtype=np.float64) + 1, series, _layers(model, recording, kept), len(recording.names))


def _kinds(model: nn.Module) -> tuple[type[nn.Module], ...]:
    return tuple({type(m) for m in convolutions(model)})


def _widths(model: nn.Module, recording: Recording) -> str:
    seen = [int(w) for w in recording.monitors[0].values[:, 0]] if recording.names else []
    return f"{type(model).__name__} has no two layers of equal width with one row per node (widths seen: {seen})"


def _seen(
    model: nn.Module,
    x: Tensor,
    graph: Graph,
    observables: Sequence[Observable],
    call: Call,
    kinds: tuple[type[nn.Module], ...],
) -> tuple[Recording, list[int], int]:
    """What the layers of some kinds (all, without one) recorded, which records are of the commonest width, and that width."""
    with evaluating(model), attach(model, [_Width(), *observables], graph, only=kinds or None) as recording:
        call(model, x, graph)
    widths = [int(w) for w in recording.monitors[0].values[:, 0]] if recording.names else []
    width = Counter(widths).most_common(1)[0][0] if widths else 0
    return recording, [i for i, w in enumerate(widths) if w == width], width


def _check_several(model: nn.Module, recording: Recording, kept: Sequence[int]) -> None:
    if len(kept) < 2:
        raise ValueError(
            f"{_widths(model, recording)}; give depths=[2, 4, 8, ...] and a function of the depth, or a network with hidden "
            "layers of one width"
        )


def _layers(model: nn.Module, recording: Recording, kept: Sequence[int]) -> list[nn.Module]:
    modules = dict(model.named_modules())
    return [modules[recording.names[i].split(" (")[0]] for i in kept]


def layer_states(model: nn.Module, x: Tensor, graph: Graph, call: Call) -> tuple[Tensor, Tensor]:
    """The layers of the commonest width of a network, `[layers]`, and their features, `[layers, N, width]`.

    Raises:
        ValueError: see `layerwise`.
    """
    states: list[Tensor] = []
    recording, kept, _ = _seen(model, x, graph, [_Kept(states)], call, _kinds(model))
    _check_several(model, recording, kept)
    return torch.tensor(kept, dtype=torch.float64) + 1, torch.stack([states[k] for k in kept])


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
    """The last layer of the common width of each network (of equations in a block, what comes out); only that is measured.

    Raises:
        ValueError: a network without two layers of equal width, or one block.
    """
    series: dict[str, list[float]] = {name: [] for name in observables}
    readings = {name: one.on(graph) for name, one in observables.items()}
    layers, count = list[nn.Module](), 0
    for model in models:
        latest, blocks = _Latest(), any(isinstance(m, PDEBlock) for m in model.modules())
        kinds = _kinds(model) or (PDEBlock,) * blocks
        recording, kept, width = _seen(model, x, graph, [latest], call, kinds)
        if len(kept) < (1 if kinds == (PDEBlock,) else 2):
            raise ValueError(f"{_widths(model, recording)}; give networks with hidden layers of one width")
        layers, count = _layers(model, recording, kept), len(recording.names)
        for name, reading in readings.items():
            series[name].append(float(reading(0.0, latest.features[width])))
    found = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
    return Profile(np.asarray(list(depths), dtype=np.float64), found, layers, count)


def is_linear(model: nn.Module, x: Tensor, graph: Graph, call: Call) -> bool:
    """Whether `f(a + b) - f(a) = f(b)` on features of both signs, to rounding; features that die out say nothing: False."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x) for _ in range(2))
    with evaluating(model):
        outputs = [call(model, one, graph) for one in (a + b, a, b)]
    if not all(isinstance(one, Tensor) for one in outputs):
        return False
    whole, left, right = (one.double() for one in outputs)  # type: ignore[union-attr]
    top = whole.abs().amax()
    return bool(top > 0) and bool((whole - left - right).abs().amax() <= 1e-4 * top)


def raises_between(model: nn.Module, layers: Sequence[nn.Module], energy: Reading, x: Tensor, graph: Graph, call: Call) -> bool:
    """Whether what lies between some two layers (a residual, a normalisation) hands on more energy than it takes.

    Args:
        model: the network.
        layers: its convolutions.
        energy: of features, as an observable bound to the graph.
        x, graph, call: how it is run.
    """
    taken, given = list[float](), list[float]()

    def watch(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        for features, to in ((inputs[0] if inputs else None, taken), (output, given)):
            to.append(float(energy(0.0, features)) if isinstance(features, Tensor) else math.nan)

    handles = [layer.register_forward_hook(watch) for layer in {id(one): one for one in layers}.values()]
    try:
        with evaluating(model):
            call(model, x, graph)
    finally:
        for handle in handles:
            handle.remove()
    return any(after > before * (1 + 1e-5) for before, after in zip(given, taken[1:], strict=False))
