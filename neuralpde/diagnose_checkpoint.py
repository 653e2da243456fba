"""Trained models as what `diagnose` looks at: from a checkpoint, in time or by depth."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from torch import Tensor, nn

from solvers import Integrator, SolveOptions

from .graph import Graph
from .models.base import PDEModel
from .models.block import PDEBlock
from .models.inputs import check_features
from .pdes.base import GraphPDE
from .training.checkpoint import load
from .training.evaluate import evaluating

_NOT_OURS = ("save", "gradient", "callbacks")  # options of a block that a run without gradients leaves out


@dataclass(frozen=True, eq=False)
class Run:
    """A model of an equation as a run in time.

    Attributes:
        name: of the model and its equation.
        pde, u0, t, method, options: what the model solves, from the features that its encoder makes.
        graph: in the model's dtype.
    """

    name: str
    pde: GraphPDE
    graph: Graph
    u0: Tensor
    t: float
    method: str | Integrator
    options: SolveOptions


def from_file(path: str | PathLike[str]) -> nn.Module:
    """The model of a checkpoint, in evaluation mode.

    Raises:
        FileNotFoundError: no such file; it names those that are there.
        CheckpointError: the file is no checkpoint, or its model cannot be rebuilt.
    """
    file = Path(path)
    if not file.is_file():
        folder = file if file.is_dir() else file.parent
        there = sorted(str(one) for one in folder.glob("*.pt"))[:5] if folder.is_dir() else []
        what = "is a folder" if file.is_dir() else "does not exist"
        hint = f"there are {', '.join(there)}" if there else "neuralpde train leaves out/train/checkpoint-seed0.pt"
        raise FileNotFoundError(f"{os.fspath(path)!r} {what}; expected a checkpoint file (neuralpde.save, fit): {hint}")
    return load(file)


def as_run(model: object, graph: Graph, x: Tensor) -> Run | None:
    """What a model of an equation solves on a graph with features x; None for other models.

    Raises:
        ValueError: features of another number or type than the model takes.
    """
    if not isinstance(model, PDEModel | PDEBlock):
        return None
    check_features(model, x)
    if isinstance(model, PDEBlock):
        block, u0, name = model, x, "PDEBlock"
    else:
        check_width(model, x)
        block, name = model.block, type(model).__name__
        with evaluating(model):
            u0 = model.encode(graph, x)
    options: SolveOptions = {key: value for key, value in block.options.items() if key not in _NOT_OURS}  # type: ignore[assignment]
    options["stability_check"] = False  # a block goes on beyond the limit: what it does then is what is to be seen
    return Run(f"{name} of {type(block.pde).__name__}", block.pde, graph.to(u0.dtype), u0, block.t, block.method, options)


def by_depths(models: Mapping[int, object], depths: Sequence[int] | None) -> tuple[Callable[[int], nn.Module], list[int]]:
    """Trained networks of several depths, given as depth -> checkpoint or network.

    Raises:
        ValueError: fewer than two, or depths given twice.
        TypeError: something that is neither.
    """
    if depths is not None:
        raise ValueError("depths given twice: the mapping from depths to trained networks has them already")
    if len(models) < 2 or not all(isinstance(depth, int) for depth in models):
        raise ValueError(f"got networks of depths {list(models)}; expected at least two, as {{4: 'gcn4.pt', 16: 'gcn16.pt'}}")
    made = {}
    for depth, one in models.items():
        if not isinstance(one, str | PathLike | nn.Module):
            raise TypeError(f"depth {depth} is a {type(one).__name__}; expected the path of a checkpoint, or an nn.Module")
        made[depth] = one if isinstance(one, nn.Module) else from_file(one)
        if isinstance(made[depth], PDEModel):
            raise TypeError(
                f"depth {depth} is a {type(made[depth]).__name__}, whose depth is its time: diagnose it alone, with t=..."
            )
    return made.__getitem__, sorted(made)


def check_width(model: object, x: Tensor) -> None:
    """Raise ValueError unless x has as many features per node as the model was made for, if it says how many."""
    width = getattr(model, "in_channels", None)
    if isinstance(model, nn.Module) and isinstance(width, int) and 0 < width != x.shape[1]:
        raise ValueError(
            f"the graph has {x.shape[1]} features per node, {type(model).__name__} was made for {width}: "
            "give the graph that it was trained on, or u0 of that width"
        )
