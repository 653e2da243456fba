"""The pictures of a diagnosis page: frequencies, steps, bottlenecks; each says why it is missing where it cannot be drawn."""

from __future__ import annotations

import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from solvers import IntegrationError, SolveOptions, method_named

from .. import plots
from ..diagnose_layers import SYMMETRIC, convolutions
from ..diagnosis import (
    BottleneckMap,
    balanced_forman_cost,
    band_energies,
    bottleneck_map,
    field_spectrum,
    heat_rate,
    influence,
    laplacian_spectrum,
    sensitivity,
)
from ..report import Section
from ..simulate import simulate
from .diagnose_subject import MOST_NUMBERS, Subject, method_of
from .part_of_graph import around

_CHANNELS = 4  # of which a large graph's frequencies are read
_DENSE = 3000  # nodes of a dense spectrum
_DRAWN = 600  # nodes without positions that are laid out
_PASSES = 32  # channels, each a backward pass, of a sensitivity
_SLOW = 30.0  # seconds of curvature
_MODES = 1500  # nodes up to which the modes of a portrait are computed
_TURNS, _FEW = 400, 40  # states that a portrait shows, and the fewest that show a curve


def frequencies(section: Section, subject: Subject) -> None:
    """Which frequencies survive, with what heat would leave where the field is heat."""

    def draw() -> tuple[Figure, str]:
        found, graph = subject.found, subject.graph
        t, u = subject.states()
        few = ""
        if graph.num_nodes > _DENSE:
            u, t = u[:: max(1, len(u) // 12), :, :_CHANNELS], t[:: max(1, len(t) // 12)]
            few = f" The graph is large: {u.shape[2]} channels, and bands with soft limits (polynomial filters)."
        heat = None
        if subject.run is not None:
            heat = heat_rate(graph, subject.run.pde.on(graph, subject.run.u0), found.normalization)
        bands = band_energies(graph, u, t, normalization=found.normalization, heat=heat, ratio=None)
        axis = "time" if subject.run is not None else "layer"
        compared = " Dashed: what heat leaves of the first energies." if heat else ""
        return plots.spectrum(bands, xlabel=axis), (
            "Energy of the features in bands of eigenvalues of the graph's Laplacian (in brackets how many eigenvalues lie "
            "there): dark bands vary slowly over the graph, light ones from neighbour to neighbour; the kernel is what "
            "diffusion leaves alone. Left how much is in each band (what stays flat far below the rest is rounding, or the "
            "solver's tolerance), right which share of all that is not kernel." + compared + few
        )

    _try(section, "The frequencies", draw)


def steps(section: Section, subject: Subject) -> None:
    """The filter of a step on real spectra, the stability region on complex ones; the filter of a layer for GCN's kind."""

    def draw() -> tuple[Figure, str]:
        if subject.run is None:
            return _layer(subject)
        run, graph = subject.run, subject.run.graph
        field, state = run.pde.on(graph, run.u0), run.pde.lift(graph, run.u0)
        spectrum = field_spectrum(field, state)
        values, largest = spectrum.values, float(spectrum.values.abs().max())
        if largest == 0:
            raise ValueError("the field does not move")
        name, fixed = method_of(run), run.options.get("dt")
        real = bool((values.imag.abs() <= 1e-9 * largest).all() and (values.real <= 1e-9 * largest).all())
        dt = float(fixed) if fixed else 2 / largest
        whose = f"the run's own, {name}" if fixed else f"2 / |s| of the largest; the run, by {name}, chose its own"
        if real and spectrum.complete:
            own: list[str] = [name] if fixed and _has_filter(name) else []
            chosen = list(dict.fromkeys([*own, "euler", "rk4", "implicit_euler"]))
            return plots.filters(
                (-values.real).clamp_min(0), chosen, dt, xlabel="eigenvalue lambda of the dynamics, u' = -L u"
            ), (
                f"What one step of dt = {dt:.4g} ({whose}) does to each frequency. A step is a filter: explicit Euler is a "
                "graph convolution, implicit Euler personalised PageRank, grey the exact flow. Beyond the dotted lines a "
                "frequency grows from step to step, whatever the equation does."
            )
        method = name if fixed and _has_region(name) else "rk4"
        part = "" if spectrum.complete else f" Only the {len(values)} largest and slowest of {spectrum.unknowns:,} are drawn."
        return plots.stability(method, values, dt), (
            f"The eigenvalues s of the field ({spectrum.what}), times a step dt = {dt:.4g} ({whose}), in the stability region "
            f"of {method}: how far left is how fast a mode decays, how far up how fast it swings, right of the vertical line "
            f"it grows. A step lets modes outside of the tinted region grow.{part}"
        )

    _try(section, "The step", draw)


def _layer(subject: Subject) -> tuple[Figure, str]:
    kinds = {type(c).__name__ for c in convolutions(subject.model)} if subject.model is not None else set()
    if not kinds or not kinds <= SYMMETRIC:
        raise ValueError(f"layers of {', '.join(sorted(kinds)) or 'this kind'} have no linear part that all graphs share")
    values = laplacian_spectrum(subject.graph, "sym_loops")
    return plots.filters(values, {"a layer's aggregation = explicit Euler, dt = 1": "euler"}, 1.0), (
        "What the aggregation of one layer, (D + 1)^-1/2 (A + 1) (D + 1)^-1/2, does to each frequency of this graph before its "
        "weights: it is a step of explicit Euler on u' = -L u. Factors near 1 pass, factors near 0 are smoothed away, and "
        "layer upon layer they multiply."
    )


def bottlenecks(section: Section, subject: Subject) -> None:
    """Curvature on the edges and how far a node is heard."""

    def draw() -> tuple[Figure, str]:
        graph = subject.graph
        cost = balanced_forman_cost(graph)
        if cost.seconds > _SLOW:
            raise ValueError(f"curvature would take about {cost.seconds:.0f} s; diagnosis.bottleneck_map(graph) computes it")
        found = bottleneck_map(graph, 5)
        if not found.curvature.numel():
            raise ValueError("the graph has no edges")
        heard, why = _sensitivity(subject, int(found.narrowest[0, 0]))
        node = int(found.narrowest[0, 0])
        text = f"{_narrowest(found)} {why}"
        if graph.pos is None and graph.num_nodes > _DRAWN:
            part = around(graph, found.narrowest[:, 0])
            graph, found, heard, node = part.cut(found, heard, node)
            text = f"The surroundings of the narrowest edge, {graph.num_nodes} of {subject.graph.num_nodes:,} nodes. {text}"
        return plots.bottleneck(graph, found, heard, node=node if heard is not None else None), text

    _try(section, "The bottlenecks", draw)


def _narrowest(found: BottleneckMap) -> str:
    if float(found.curvature[0]) > -1e-9:
        return "No edge has negative curvature: there is no bridge that squeezes what passes."
    pairs = zip(found.narrowest.mT.tolist(), found.curvature.tolist(), strict=True)
    listed = ", ".join(f"{i} - {j} ({c:.3g})" for (i, j), c in pairs if c < -1e-9)
    return f"Edges of negative curvature (red, wide) are bridges that squeeze what passes; the narrowest: {listed}."


def _sensitivity(subject: Subject, node: int) -> tuple[Tensor | None, str]:
    """`[N]`, how much the result at a node depends on what each node starts with; None, and why, where it costs too much."""
    run, x, edges = subject.run, subject.x, subject.graph.with_weight(None)
    if run is not None:  # one channel stands for all where nothing is learned
        x = run.u0[:, :1] if run.pde.channels is None and not any(True for _ in run.pde.parameters()) else run.u0
    try:
        if run is None:
            model = _evaluated(subject)
            with torch.no_grad():
                passes = model(x, edges.edge_index).shape[1]
        else:
            passes = x.shape[1]
        if passes > _PASSES:
            return None, f"Right: the least curvature around each node (a sensitivity would take {passes} backward passes)."
        if run is None:
            value = influence(lambda u: model(u, edges.edge_index), x, target=node)
            when = "what the network makes of it depends"
        else:
            rough: SolveOptions = {"rtol": 1e-4, **run.options}  # enough for a colour
            value = sensitivity(run.pde, run.graph, x, run.t, run.method, target=node, **rough)
            when = f"its state at time {run.t:.4g} depends"
    except (TypeError, ValueError, RuntimeError) as error:
        return None, f"Right: the least curvature around each node (no sensitivity: {error})."
    if not math.isfinite(float(value.abs().max())):
        return None, "Right: the least curvature around each node (the sensitivity is not finite)."
    return value, (
        f"Right: the ringed node is an end of the narrowest edge; how much {when} on what each node starts with, in powers of "
        f"ten: the largest is {float(value.max()):.3g}, the median {float(value.median()):.3g}."
    )


def _evaluated(subject: Subject) -> nn.Module:
    if subject.model is None:
        raise ValueError("there is neither an equation nor a network")
    return subject.model.eval()


def portrait(section: Section, subject: Subject) -> None:
    """Momentum against position: of the slowest modes where the force has them, else of some nodes."""

    def draw() -> tuple[Figure, str]:
        run, graph = subject.run, subject.graph
        if run is None:
            raise ValueError("a network has no momenta")
        count = min(_TURNS, MOST_NUMBERS // max(1, 2 * run.u0.numel()))
        if count < _FEW:
            raise ValueError(f"{_FEW} states of {run.u0.numel():,} numbers, twice, are too many to keep")
        t = torch.linspace(0, run.t, count, dtype=torch.float64)
        with torch.no_grad():
            y = simulate(run.pde, run.graph, run.u0, t, run.method, **run.options).solution.y
        stiffness = getattr(run.pde.on(run.graph, run.u0), "stiffness", None)
        until = f"Momentum against position, from time 0 (the dot) to {run.t:.4g}, in the first channel"
        if stiffness is not None and stiffness.columnwise and stiffness.symmetric and graph.num_nodes <= _MODES:
            return plots.phase(y, modes=3, stiffness=stiffness), (
                f"{until}, of the slowest modes that swing. Undamped, a mode stays on the ellipse of its energy (dashed); "
                "damping takes it inwards; if it goes outwards, the step is too large or the equation drives it."
            )
        nodes = sorted({0, graph.num_nodes // 3, 2 * graph.num_nodes // 3})
        return plots.phase(y, nodes=nodes), (
            f"{until}, of three nodes. Curves that close keep their energy, inward spirals lose it, outward ones gain it."
        )

    _try(section, "The portrait", draw)


def _has_filter(name: str) -> bool:
    method = method_named(name)
    return method.needs is None and method.real_stability is not None


def _has_region(name: str) -> bool:
    return _has_filter(name) or method_named(name).needs == "partitioned"


def _try(section: Section, what: str, draw: Callable[[], tuple[Figure, str]]) -> None:
    """A figure with its caption; or a sentence that says why there is none."""
    try:
        figure, caption = draw()
    except (ValueError, TypeError, MemoryError, IntegrationError) as error:
        section.text(f"{what} could not be drawn: {error}.".replace("..", "."))
        return
    section.figure(figure, caption)
    plt.close(figure)
