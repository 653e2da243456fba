"""What dynamics do to features: do they oversmooth, fade, explode or keep their shape, how fast, and what theory says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from solvers import Integrator, SolveOptions, VectorField, linear_flow

from .diagnose_checkpoint import as_run, by_depths, check_width, from_file
from .diagnose_fit import Array, envelope, fit_rate
from .diagnose_kernel import mismatch, own_energy
from .diagnose_layers import (
    SUMMING,
    SYMMETRIC,
    Call,
    by_depth,
    by_edges,
    convolutions,
    is_linear,
    layerwise,
    made,
    raises_between,
)
from .diagnose_report import Diagnosis
from .diagnose_theory import Theory, flow_theory, gcn_theory, no_theory
from .graph import Graph, as_graph
from .monitors import verdict
from .monitors.base import Monitor, Observable
from .monitors.conserved import Norm
from .monitors.energy import NORMALIZATIONS, DirichletEnergy, RayleighQuotient, check_normalization
from .monitors.hamiltonian import Hamiltonian
from .monitors.rank import EffectiveRank, RankOneDistance
from .monitors.variance import EnergyOverVariance
from .pdes.base import GraphPDE
from .pdes.oscillator import LinearOscillator
from .simulate import simulate

if TYPE_CHECKING:
    from torch_geometric.data import Data

_RECORDS = 160  # of a run in time
_MOST_STEPS = 400  # fixed steps that are recorded as they are; outputs between would cut them


def diagnose(
    model_or_pde: GraphPDE | nn.Module | Callable[[int], nn.Module] | str | PathLike[str] | Mapping[int, object],
    graph: Graph | Data,
    depths: Sequence[int] | None = None,
    *,
    t: float | None = None,
    u0: Tensor | None = None,
    energy: str | None = None,
    trained: bool = False,
    call: Call = by_edges,
    method: str | Integrator = "auto",
    **options: Unpack[SolveOptions],
) -> Diagnosis:
    """Measure how the energy of features evolves, compare it with theory, and judge scale and shape apart.

        print(diagnose(Diffusion(), Graph.grid(10, 10), t=60.0, u0=x))             # an equation, in time
        print(diagnose(gcn, data))                                                # the layers of a network
        print(diagnose(lambda d: GCN(16, 16, d), data, depths=[2, 4, 8, 16]))     # networks of several depths
        print(diagnose("out/train/checkpoint-seed0.pt", data))                    # a trained model
        print(diagnose({4: "gcn4.pt", 16: "gcn16.pt", 64: "gcn64.pt"}, data))     # trained networks of several depths

    The rate is the slope of log E after the transient (see `fit_rate`), E the Dirichlet energy whose Laplacian is that of
    the dynamics; values below 10 eps |X|^2 are rounding. Of oscillators with a linear force it is that of the whole energy
    `1/2 |p|^2 + 1/2 <q, K q>`, which has no zeros, and trends are judged on envelopes over an eighth of the span.
    The verdict is `monitors.verdict`'s: decaying or growing where the change exceeds 10x and the interval excludes 0,
    stationary below 2x, else inconclusive; for the norm (scale) and for the Rayleigh quotient (shape).

    Args:
        model_or_pde: an equation; a network (any `nn.Module`; PyG's convolutions are read by hooks, else every layer of the
            commonest width); with `depths`, a function of the depth that makes a network. A model of an equation
            (`NodeClassifier`, `PDEBlock`) runs in time, from its encoder's features, by its own method and step. A path is a
            checkpoint (`save`, `FitConfig.checkpoint`, `neuralpde train`); depth -> path or network are trained ones.
        graph: one graph, N nodes.
        depths: depths of networks to make, increasing.
        t: final time of an equation; None takes that of a model.
        u0: initial features `[N, channels]`; None takes `graph.node["x"]`.
        energy: normalization of the energy (`DirichletEnergy`); None takes that of the dynamics.
        trained: the networks are trained ones: the report says so ("depth-trained"). Checkpoints always are.
        call: how a network is run: `call(model, u0, graph)`; by default `model(u0, edge_index)`, without weights.
        method, **options: of `simulate`, for an equation. With `dt` every step is recorded (up to 400).

    Returns:
        A `Diagnosis`; `print` it, or draw it by `plots.diagnosis`.

    Raises:
        ValueError: a missing time or features, several graphs at once, layers of unequal width, features of another graph
            than that of the training.
        CheckpointError: a file that is no checkpoint, or whose model cannot be rebuilt.
        FileNotFoundError: no such file.
        TypeError: `depths` with a network instead of a function, or something that is neither equation nor network.

    Reference: Cai & Wang (2020), A note on over-smoothing for graph neural networks; Rusch, Bronstein & Mishra (2023), A
        survey on oversmoothing in graph neural networks; Roth & Liebig (2023), Rank collapse causes over-smoothing.
    """
    graph = as_graph(graph)
    if graph.num_graphs != 1:
        raise ValueError(f"got {graph.num_graphs} graphs in one; expected one graph at a time")
    if energy is not None:
        check_normalization(energy)
    x = _features(graph, u0)
    if isinstance(model_or_pde, str | PathLike):
        model_or_pde, trained = from_file(model_or_pde), True
    if isinstance(model_or_pde, Mapping):
        model_or_pde, depths = by_depths(model_or_pde, depths)
        trained = True
    if isinstance(model_or_pde, GraphPDE):
        return _in_time(model_or_pde, graph, x, t, energy, method, options, depths)
    run = as_run(model_or_pde, graph, x)
    if run is not None:
        given: SolveOptions = {**run.options, **options}
        chosen = run.method if method == "auto" else method
        found = _in_time(run.pde, run.graph, run.u0, run.t if t is None else t, energy, chosen, given, depths)
        return replace(found, subject=f"{run.name}{', trained,' if trained else ''} on {graph.num_nodes:,} nodes")
    if t is not None or options or method != "auto":
        raise ValueError("t, method and options of the solver are for an equation; a network has layers (or depths=[...])")
    check_width(model_or_pde, x)
    return _in_depth(model_or_pde, graph, x, depths, energy, trained, call)


def _in_time(
    pde: GraphPDE,
    graph: Graph,
    u0: Tensor,
    t: float | None,
    energy: str | None,
    method: str | Integrator,
    options: SolveOptions,
    depths: Sequence[int] | None,
) -> Diagnosis:
    if depths is not None:
        raise ValueError("depths is for networks; an equation runs until t=...")
    if t is None or not t > 0:
        raise ValueError(f"t = {t}; expected a positive final time, t=10.0")
    with torch.no_grad():
        field = pde.on(graph, u0)
        motion = _motion(pde, field, graph)
        name = energy or own_energy(graph, motion, u0.shape[1], u0.dtype, _energy_of(pde))
        mechanical = isinstance(field, LinearOscillator)
        watched = _observables(name) | ({"Hamiltonian": Hamiltonian()} if mechanical else {})
        dt = options.get("dt")
        steps = dt is not None and t / dt <= _MOST_STEPS
        monitors = [Monitor(one, None if steps else t / _RECORDS) for one in watched.values()]
        if u0.dtype == torch.float64:
            exact = mechanical or linear_flow(field) is not None  # a kink of a ReLU costs steps of a root of the tolerance
            options.setdefault("rtol", 1e-8 if exact else 1e-5)
            options.setdefault("atol", 1e-12 if exact else 1e-9)
        simulate(pde, graph, u0, t, method, monitors=monitors, **options)
        theory = flow_theory(field, pde.lift(graph, u0))
        warning = mismatch(graph, motion, name, u0.shape[1], u0.dtype)
    if warning and not mechanical and theory.kind == "exact":
        theory = no_theory("the energy is not that of the dynamics")
    series = {k: m.values[:, 0].cpu().numpy().astype(np.float64) for k, m in zip(watched, monitors, strict=True)}
    subject = f"{type(pde).__name__} on {graph.num_nodes:,} nodes"
    return _judge(subject, "in time", monitors[0].t.numpy(), series, theory, (warning,), _eps(u0), second_order(field), name)


def _in_depth(
    model: nn.Module | Callable[[int], nn.Module],
    graph: Graph,
    x: Tensor,
    depths: Sequence[int] | None,
    energy: str | None,
    trained: bool,
    call: Call,
) -> Diagnosis:
    if depths is not None and isinstance(model, nn.Module):
        raise TypeError(f"depths needs a function that makes a network of a depth; got a {type(model).__name__}, made already")
    plain = graph.with_weight(None) if call is by_edges else graph
    if depths is not None:
        models, kind = made(model, depths, x), f"depth-{'trained' if trained else 'untrained'}"
    elif isinstance(model, nn.Module):
        models, kind = [model], "layerwise"
    else:
        raise TypeError(
            f"got a {type(model).__name__}; expected a GraphPDE, an nn.Module, or a function of the depth and depths"
        )
    last = models[-1]
    names = {type(c).__name__ for c in convolutions(last)}
    own = "sym_loops" if names & SYMMETRIC else "none"
    chosen = energy or own
    watched = _observables(chosen)
    if depths is not None:
        profile = by_depth(models, depths, x, plain, watched, call)
    else:
        profile = layerwise(last, x, plain, watched, call)
    theory = no_theory(f"nothing is known for {', '.join(sorted(names)) or type(last).__name__}")
    if names == {"GCNConv"} and chosen == "sym_loops":
        if raises_between(last, profile.layers, watched["energy"].on(plain), x, plain, call):
            theory = no_theory("what lies between the layers (a residual, a normalisation) raises the energy")
        else:
            theory = gcn_theory(profile.layers, plain, is_linear(last, x, plain, call))
    notes = [f"the energy {chosen!r} is not that of these layers, {own!r}: it may stall or fall for reasons of its own"] * (
        {chosen, own} not in ({"none", "rw"}, {own})
    )
    if names & SUMMING:
        notes.append("layers that add up neighbours have no energy of their own: no vector rests under them on every graph")
    state = ", trained," if trained and depths is None else ""
    subject = f"{type(last).__name__} ({', '.join(sorted(names)) or 'all layers'}){state} on {graph.num_nodes:,} nodes"
    return _judge(subject, kind, profile.t, profile.series, theory, tuple(notes), _eps(x), False, chosen)


def _judge(
    subject: str,
    kind: str,
    t: Array,
    series: dict[str, Array],
    theory: Theory,
    notes: tuple[str, ...],
    eps: float,
    swings: bool,
    normalization: str,
) -> Diagnosis:
    energy, norm, rank = series["energy"], series["norm"], series["effective rank"]
    finite = np.isfinite(energy) & np.isfinite(norm)
    measured = "Hamiltonian" if "Hamiltonian" in series else "energy"
    with np.errstate(over="ignore"):
        floor = 10 * eps * norm**2 if measured == "energy" else np.zeros_like(norm)
    mu = envelope(t, energy, 0.125) if swings and measured == "energy" else series[measured]
    tops = (envelope(t, energy), envelope(t, norm)) if swings and finite.all() else (energy, norm)
    found = verdict(t, *tops, rank if np.isfinite(rank[finite]).all() and rank[0] > 1.01 else None, eps=eps)
    fit = fit_rate(t, mu, floor)
    said = tuple(note for note in notes if note)
    return Diagnosis(subject, kind, t, series, measured, floor, fit, theory, found, said, normalization)


def _observables(normalization: str) -> dict[str, Observable]:
    return {
        "energy": DirichletEnergy(normalization),
        "norm": Norm(),
        "Rayleigh quotient": RayleighQuotient(normalization),
        "energy over variance": EnergyOverVariance(normalization),
        "effective rank": EffectiveRank(),
        "rank-one distance": RankOneDistance(),
    }


def _features(graph: Graph, u0: Tensor | None) -> Tensor:
    x = graph.node.get("x") if u0 is None else u0
    if x is None:
        raise ValueError('no features: give u0, [nodes, channels] (the graph has no node["x"])')
    x = x.unsqueeze(1) if x.dim() == 1 else x
    if x.dim() != 2 or len(x) != graph.num_nodes or not x.is_floating_point():
        raise ValueError(
            f"u0 has shape {tuple(x.shape)} and type {x.dtype}; expected ({graph.num_nodes}, channels) of floating point"
        )
    return x.detach()


def _eps(x: Tensor) -> float:
    return float(torch.finfo(x.dtype).eps)


def second_order(field: VectorField) -> bool:
    """Whether a field is partitioned: positions and momenta."""
    return hasattr(field, "force") and hasattr(field, "velocity")


def _motion(pde: GraphPDE, field: VectorField, graph: Graph) -> Callable[[Tensor], Tensor]:
    """How features move: their force, for second-order equations."""

    def motion(x: Tensor) -> Tensor:
        y, now = pde.lift(graph, x), torch.zeros((), dtype=x.dtype, device=x.device)
        if second_order(field):
            return field.force(now, y[0])  # type: ignore[attr-defined]
        return pde.read(field(now, y))

    return motion


def _energy_of(pde: GraphPDE) -> str:
    """The normalization that the equation's own operator suggests."""
    named = getattr(pde, "normalization", None)
    if named in NORMALIZATIONS:
        return named
    return "sym_loops" if getattr(pde, "coupling", None) == "gcn" else "none"
