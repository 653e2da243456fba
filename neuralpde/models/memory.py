"""What backpropagation through a solve will keep in memory, measured on a few steps, before a long solve begins."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import BackEnd, ExactFlow, IntegrationError, Integrator, SolveOptions, bytes_in_words, free_memory, method_named

from ..graph import Graph
from ..pdes.base import GraphPDE
from ..simulate import Simulation, simulate

_PROBE = 4  # steps: what 8 of them keep beyond what 4 keep is the share of a step; multistep methods have started by then
_TENSORS = 12  # a step keeps this many states or so: below a quarter of the free memory by this measure nothing is measured
_ADAPTIVE = 300  # steps that an adaptive solve is taken to have until it is tried
_SHARE = 0.8  # of the free memory that may be used without a word


@dataclass(frozen=True)
class MemoryEstimate:
    """What a solve keeps for its backward pass, in bytes.

    Args:
        steps: of the solve.
        shape, dtype: of the features.
        state: one state.
        step: what one step keeps, measured.
        once: what is kept whatever the number of steps, measured.
        reversible: whether the method can undo its steps.
    """

    steps: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    state: int
    step: int
    once: int
    reversible: bool

    @property
    def backprop(self) -> int:
        """`once + steps * step`."""
        return self.once + self.steps * self.step

    @property
    def checkpoint(self) -> int:
        """`3 steps^(1/3)` states, and a piece of `steps^(1/3)` steps, or 8 if that is more, at a time."""
        root = self.steps ** (1 / 3)
        return self.once + int(3 * root * self.state + min(max(root, 8), self.steps) * self.step)

    @property
    def one_step(self) -> int:
        """For the gradients that keep no step ("reversible", "adjoint"): one step and a few states."""
        return self.once + self.step + 4 * self.state

    def message(self, free: int) -> str:
        """The warning: what is needed, what there is, what to do."""
        kind = str(self.dtype).removeprefix("torch.")
        others = ['gradient="reversible"'] * self.reversible + ['gradient="adjoint"']
        return (
            f"backpropagation keeps all {self.steps:,} steps of ({' x '.join(f'{n:,}' for n in self.shape)}) {kind}: about "
            f"{bytes_in_words(self.backprop)} ({bytes_in_words(self.step)} a step, measured); {bytes_in_words(free)} are free. "
            f'gradient="checkpoint" needs about {bytes_in_words(self.checkpoint)}, '
            f"{' or '.join(others)} about {bytes_in_words(self.one_step)}."
        )


def warn_of_memory(
    pde: GraphPDE, graph: Graph, u0: Tensor, span: float, method: str | Integrator, options: SolveOptions, stacklevel: int
) -> None:
    """Warn if the steps of a solve with `gradient="backprop"` will not fit into the free memory.

    A solve that is small by any measure is not looked at; for another one a few steps are tried, and if the method chooses
    its own steps, the whole solve is tried without a gradient, to count them.
    """
    if not torch.is_grad_enabled() or options.get("gradient", "backprop") != "backprop" or not _learns(pde, graph, u0):
        return
    dt = options.get("dt")
    steps = _ADAPTIVE if dt is None else span / dt
    unit = (u0.numel() + 4 * graph.num_edges) * u0.element_size()
    free = free_memory(u0.device)
    if free is None or steps * _TENSORS * unit < free / 4:
        return
    estimate = backprop_memory(pde, graph, u0, span, method, options)
    if estimate is not None and estimate.backprop > _SHARE * free:
        warnings.warn(estimate.message(free), stacklevel=stacklevel + 1)


def backprop_memory(
    pde: GraphPDE, graph: Graph, u0: Tensor, span: float, method: str | Integrator, options: SolveOptions
) -> MemoryEstimate | None:
    """What backpropagation through a solve from 0 to `span` keeps; None where it keeps no steps, or the solve fails.

    The bytes of a step are those of the tensors that autograd saves, each storage counted once, and of what the allocator
    loses between them; the random generators are left as they were.
    """
    if method != "auto" and isinstance(method_named(method), BackEnd):
        return None
    plain: SolveOptions = {**options, "stability_check": False, "callbacks": (), "events": (), "progress": False}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[u0.device] if u0.is_cuda else []):
        warnings.simplefilter("ignore")
        try:
            return _measure(pde, graph, u0, span, method, plain)
        except IntegrationError:
            return None


def _measure(
    pde: GraphPDE, graph: Graph, u0: Tensor, span: float, method: str | Integrator, options: SolveOptions
) -> MemoryEstimate | None:
    dt = options.get("dt")
    if dt is None:
        with torch.no_grad():
            tried = simulate(pde, graph, u0, span, method, **{**options, "save": "final"})
        steps = max(1, tried.stats.accepted)
        method, dt = method_named(tried.solution.method) if method == "auto" else method, span / steps
        if isinstance(method_named(method), ExactFlow):
            return None
    else:
        steps = max(1, round(span / dt))
    few = max(1, min(_PROBE, steps // 4))
    fixed: SolveOptions = {**options, "save": "final", "dt": dt, "controller": None}

    def run(count: int) -> Simulation:
        return simulate(pde, graph, u0, count * dt, method, **fixed)

    (some, _), (twice, result) = _kept(lambda: run(few)), _kept(lambda: run(2 * few))
    step = (twice - some) // few
    undoes = hasattr(method_named(method) if method != "auto" else method_named(result.solution.method), "undo")
    state = result.solution.y[-1].numel() * u0.element_size()
    return MemoryEstimate(steps, tuple(u0.shape), u0.dtype, state, step, max(0, some - few * step), undoes)


def _kept(run: Callable[[], Simulation]) -> tuple[int, Simulation]:
    """The bytes that what autograd saves during a solve takes, and its result."""
    seen: dict[int, tuple[int, Tensor]] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        seen[storage.data_ptr()] = (_taken(storage.nbytes(), x.device), x)  # x is held, so that no address is used twice
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = run()
    return sum(size for size, _ in seen.values()), result


def _taken(size: int, device: torch.device) -> int:
    """The bytes that a kept block takes: on a CPU, blocks on the C library's heap leave holes between them.

    Measured with glibc: 1.05 times their size from 32 MiB, where each is mapped by itself, and 2 to 2.7 times below.
    """
    return 2 * size if device.type == "cpu" and 2**17 <= size < 2**25 else size


def _learns(pde: GraphPDE, graph: Graph, u0: Tensor) -> bool:
    held = [u0, *pde.parameters(), *([] if graph.weight is None else [graph.weight])]
    return any(x.requires_grad for x in held)
