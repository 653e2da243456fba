"""How every model is set: where it starts, what a search found on tuning seeds, and where a search draws from.

What is reported is run with what stands here, committed before. `--search` prints the line for `FOUND`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claims import Claim
from recipes import BLENDRecipe, GATRecipe, changed

from neuralpde import FitConfig
from neuralpde.training import Choice, Distribution, LogUniform, Preset, Uniform

_HEADS = {"heads": 4, "attention_dim": 16, "source": "detached"}
_DIFFUSION = FitConfig(epochs=100, lr=0.02, weight_decay=0.005, optimizer="adamax")
_OSCILLATOR = FitConfig(epochs=120, lr=0.01, weight_decay=0.01, optimizer="adam")
_BASELINE = FitConfig(epochs=200, lr=0.01, weight_decay=5e-3, optimizer="adam")


def _grand(model: str) -> Preset:
    return Preset(model, 80, 18.0, "rk4", 2.0, dropout=0.4, arguments=_HEADS, config=_DIFFUSION)


def _graphcon(coupling: str) -> Preset:
    return Preset("graphcon", 64, 8.0, "symplectic_euler", 1.0, arguments={"coupling": coupling}, config=_OSCILLATOR)


BASE: Mapping[str, Any] = {
    "GRAND-l": _grand("grand-l"),
    "GRAND-nl": _grand("grand-nl"),
    "GRAND-nl-rw": _grand("grand-nl-rw"),
    "GraphCON-GCN": _graphcon("gcn"),
    "GraphCON-GAT": _graphcon("gat"),
    "BLEND": BLENDRecipe(arguments=_HEADS, config=_DIFFUSION),
    "BLEND-kNN": BLENDRecipe(arguments=_HEADS, config=_DIFFUSION, neighbours=8),
    "GCN": Preset("gcn", 64, config=_BASELINE),
    "GAT": GATRecipe(config=_BASELINE),
    "MLP": Preset("mlp", 64, config=_BASELINE),
}
"""By the model's name in its paper."""

BASELINES = ("GCN", "GAT", "MLP")

FOUND: Mapping[tuple[str, str, str], Mapping[str, Any]] = {}
"""What a search found: (model, data set, protocol) -> settings that replace those of `BASE`."""

_FIT: dict[str, Distribution] = {
    "config.lr": LogUniform(1e-3, 0.05),
    "config.weight_decay": LogUniform(1e-4, 0.1),
    "dropout": Uniform(0.0, 0.8),
}
_FLOW: dict[str, Distribution] = {
    **_FIT,
    "input_dropout": Uniform(0.2, 0.8),
    "hidden": Choice((16, 32, 64, 80, 128)),
    "config.optimizer": Choice(("adam", "adamax")),
}
_ATTENTION: dict[str, Distribution] = {
    "t": Uniform(2.0, 20.0),
    "arguments.heads": Choice((1, 2, 4, 8)),
    "arguments.source": Choice((False, "detached")),
}


def config(model: str, dataset: str, protocol: str) -> Any:
    """The recipe that a model is reported with, or None if there is no such model yet."""
    if model not in BASE:
        return None
    return changed(BASE[model], FOUND.get((model, dataset, protocol), {}))


def searched(claim: Claim) -> bool:
    """Whether a search found the settings of this cell."""
    return (claim.model, claim.dataset, claim.protocol) in FOUND


def space(model: str) -> dict[str, Distribution]:
    """Where a search draws from."""
    if model in ("GCN", "MLP"):
        return {**_FIT, "hidden": Choice((16, 32, 64, 128)), "layers": Choice((1, 2, 3))}
    if model == "GAT":
        return {**_FIT, "hidden": Choice((4, 8, 16)), "heads": Choice((1, 4, 8)), "layers": Choice((2, 3))}
    if model.startswith("GraphCON"):
        oscillator = {"arguments.alpha": Uniform(0.0, 1.5), "arguments.gamma": Uniform(0.0, 1.5)}
        return {**_FLOW, **oscillator, "t": Choice((1.0, 2.0, 4.0, 8.0, 16.0))}
    return {**_FLOW, **_ATTENTION}
