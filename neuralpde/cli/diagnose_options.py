"""The options of `neuralpde diagnose`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .solver_options import SolverOptions


@dataclass(frozen=True)
class Diagnose:
    """What `neuralpde diagnose` does.

    Args:
        graph: Name or file of a graph, as in solve.
        pde: Equation by name.
        pde_options: Its parameters.
        model: Instead of an equation a network of PyG's with random weights: gcn, gat, sage, gin or gcnii.
        checkpoint: Instead of an equation a trained model: a file that neuralpde train left; several, separated by commas,
            are networks of several depths.
        component: Part of a data set that a trained model is looked at on: all or largest (default: the one that it was
            trained on, where the run.json of neuralpde train says so).
        depths: Numbers of layers of the network, separated by commas (default: layer by layer of one with 32).
        u0: Initial features, as in solve; random:C has C channels, which is the width of a network (default: random:16, and
            the graph's own features for a checkpoint).
        t_end: Final time of an equation (default: 10, and the model's own for a checkpoint).
        energy: Laplacian of the energy: none, sym, sym_loops, rw or col (default: that of the dynamics).
        solver: How to integrate.
        seed: Of random initial features and weights.
        dtype: float64 or float32.
        device: cpu, cuda or auto.
        out: Folder of the results.
        quiet: Print nothing but errors.
        json: Print the run record as JSON.
    """

    graph: str
    pde: str = "diffusion"
    pde_options: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    checkpoint: str = ""
    component: str = ""
    depths: str = ""
    u0: str = ""
    t_end: float | None = None
    energy: str = ""
    solver: SolverOptions = field(default_factory=SolverOptions)
    seed: int = 0
    dtype: str = "float64"
    device: str = "auto"
    out: str = "out/diagnose"
    quiet: bool = False
    json: bool = False
