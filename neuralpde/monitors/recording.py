"""Observables on any `nn.Module`: what each layer does to the features of the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..graph import Graph, as_graph
from .base import Monitor, Observable
from .gradient_norms import GradientNorms

if TYPE_CHECKING:
    from torch_geometric.data import Data

Watched = Observable | GradientNorms


def attach(
    module: nn.Module,
    observables: Watched | Sequence[Watched],
    graph: Graph | Data,
    *,
    only: type[nn.Module] | tuple[type[nn.Module], ...] | None = None,
    track: bool = False,
) -> Recording:
    """Record observables of every submodule's output of shape `[nodes, channels]`, in the order of the calls.

        with attach(model, [DirichletEnergy(), EffectiveRank()], data, only=GCNConv) as recording:
            model(data.x, data.edge_index)
        energy, rank = recording.monitors          # .t counts the calls, .values are [calls, graphs]
        recording.names                            # of the submodules, call by call

    A PDE inside (`PDEBlock`) counts as one layer; watch its way with `simulate` or `model.at`. What is called as a function
    (`F.relu`) is not seen. For the logger of Lightning or of Weights & Biases:

        def training_step(self, data, index):
            with attach(self.model, DirichletEnergy("sym_loops"), data) as recording:
                loss = cross_entropy(self.model(data.x, data.edge_index), data.y)
            for name, energy in zip(recording.names, recording.monitors[0].values.mean(1), strict=True):
                self.log(f"energy/{name}", energy)  # or wandb.log({f"energy/{name}": energy})
            return loss

    Args:
        module: a model; it is not changed, and hooks of others stay.
        observables: what to record; `GradientNorms(graph)` too, which `backward` fills.
        graph: that the module runs on.
        only: take outputs of submodules of these classes only (convolutions, say); None takes all, and the module itself.
        track: keep the gradient of the recorded values (default: they are detached).

    Raises:
        TypeError: for something that is no observable.
        ValueError: nothing in the module is of the classes in `only`.
    """
    graph = as_graph(graph)
    one = isinstance(observables, Observable | GradientNorms)
    watched: Sequence[Watched] = [observables] if one else list(observables)  # type: ignore[list-item,arg-type]
    for each in watched:
        if not isinstance(each, Observable | GradientNorms):
            raise TypeError(f"got a {type(each).__name__}; expected observables such as DirichletEnergy(), or a list of them")
    taken = [(name, m) for name, m in module.named_modules() if only is None or isinstance(m, only)]
    if not taken:
        raise ValueError(f"no submodule of {type(module).__name__} is a {only}; only=None takes every one")
    monitors = [
        each if isinstance(each, GradientNorms) else Monitor(each, track=track).attach(graph, None, (0.0, 0.0))
        for each in watched
    ]
    return Recording(taken, monitors, graph)


class Recording:
    """What `attach` records; a context manager that takes its hooks off at the end, as `remove` does.

    Attributes:
        names: the submodule of each record; "conv (2)" is the second call of `conv`, "" is the module itself.
        monitors: one per observable, in their order; `.t` is 0, 1, 2, ... and `.values` `[records, graphs]`.
    """

    def __init__(self, taken: Sequence[tuple[str, nn.Module]], monitors: Sequence[Monitor | GradientNorms], graph: Graph):
        self.monitors, self.names = list(monitors), list[str]()
        self._graph = graph
        self._handles = [m.register_forward_hook(partial(self._seen, name)) for name, m in taken]

    def _seen(self, name: str, module: nn.Module, inputs: object, output: object) -> None:
        x = output[0] if isinstance(output, tuple | list) and output else output
        if not isinstance(x, Tensor) or x.dim() != 2 or len(x) != self._graph.num_nodes:
            return
        if not (x.is_floating_point() or x.is_complex()):
            return
        index = len(self.names)
        calls = 1 + sum(n == name or n.rpartition(" (")[0] == name for n in self.names)
        self.names.append(name if calls == 1 else f"{name} ({calls})")
        for monitor in self.monitors:
            monitor.after(float(index), x, 0.0)

    def clear(self) -> None:
        """Forget the records; the next forward pass starts afresh."""
        self.names.clear()
        for monitor in self.monitors:
            monitor.clear()

    def remove(self) -> None:
        """Take the hooks off; the records stay."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()
