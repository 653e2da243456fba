"""How every model is set: where it starts, what a search found on tuning seeds, and where a search draws from.

What is reported is run with what stands here and in `found.py`, committed before. `--search` prints the line for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claims import BASELINES, Claim
from found import FOUND
from graph_recipes import GRAPH_RECIPES
from graph_sources import GRAPHS
from recipes import BLENDRecipe, GATRecipe, changed, labelled
from released import ReleasedRecipe

from neuralpde import FitConfig
from neuralpde.training import Choice, Distribution, LogUniform, Preset, Uniform
from neuralpde.transforms import GDC, PPR, Undirected

WEBKB = ("texas", "wisconsin", "cornell")
LARGE = ("cs", "computers", "photo")
_HEADS = {"heads": 4, "attention_dim": 16, "source": "detached"}
_DIFFUSION = FitConfig(epochs=150, lr=0.02, weight_decay=0.005, optimizer="adamax", patience=40)
_OSCILLATOR = FitConfig(epochs=150, lr=0.01, weight_decay=0.01, optimizer="adam", patience=40)
_BASELINE = FitConfig(epochs=200, lr=0.01, weight_decay=5e-3, optimizer="adam", patience=50)
_REWIRED = {**_HEADS, "rewire": GDC(PPR(0.05), top_k=16), "drop_weakest": 0.1}


def _nonlinear(model: str, arguments: Mapping[str, Any]) -> Preset:
    """A nonlinear step costs what ten linear ones do: a shorter time."""
    return Preset(model, 80, 6.0, "rk4", 2.0, dropout=0.4, arguments=arguments, config=_DIFFUSION)


def _graphcon(coupling: str) -> Preset:
    return Preset(f"graphcon-{coupling}", 64, 8.0, "symplectic_euler", 1.0, config=_OSCILLATOR)


BASE: Mapping[str, Any] = {
    "GRAND-l": Preset("grand-l", 80, 18.0, "uniformization", dropout=0.4, arguments=_HEADS, config=_DIFFUSION),
    "GRAND-nl": _nonlinear("grand-nl", _HEADS),
    "GRAND-nl-rw": _nonlinear("grand-nl-rw", _REWIRED),
    "GraphCON-GCN": _graphcon("gcn"),
    "GraphCON-GAT": _graphcon("gat"),
    "GraphCON-Tran": _graphcon("tran"),
    "GraphCON-Tran, released form": ReleasedRecipe(config=_OSCILLATOR),
    "BLEND": BLENDRecipe(arguments=_HEADS, config=_DIFFUSION),
    "BLEND-kNN": BLENDRecipe(arguments=_HEADS, config=_DIFFUSION, neighbours=8),
    "GCN": Preset("gcn", 64, config=_BASELINE),
    "GAT": GATRecipe(config=_BASELINE),
    "MLP": Preset("mlp", 64, config=_BASELINE),
}
"""By the model's name in its paper."""

_ON_WEBKB: Mapping[str, Any] = {
    "config.epochs": 300,
    "config.patience": 100,
    "config.select": "loss",
    "transform": Undirected(),
}
_DRIVEN: Mapping[str, Any] = {"encoder_activation": "relu", "arguments.alpha": 0.0, "arguments.gamma": 0.0, "dropout": 0.0}


_ON_LARGE: Mapping[str, Any] = {"config.epochs": 100, "config.patience": 25}


def base(model: str, dataset: str) -> Any:
    """Where a model starts on a data set. On WebKB it is as in GraphCON's code: an encoder with a ReLU, the best epoch by
    validation loss; but links count in both directions. On Coauthor and Amazon T is near 3, as in GRAND's code.
    On ogbn-arxiv GRAND sees labels of training nodes, as published."""
    recipe = BASE[model]
    if model == "GRAND-nl-rw":  # what GRAND-nl found; a search adds how to rewire, and the time and the fit for that
        recipe = changed(recipe, FOUND.get(("GRAND-nl", dataset), {}))
    if dataset == "ogbn-arxiv":
        return labelled(recipe) if model.startswith("GRAND") else recipe
    if dataset in LARGE:
        return changed(recipe, {**_ON_LARGE, **({} if model in BASELINES else {"t": 3.0})})
    if dataset not in WEBKB:
        return recipe
    return changed(recipe, {**_ON_WEBKB, **(_DRIVEN if model.startswith("GraphCON") else {})})


_GRAND_CORA = {
    "hidden": 80,
    "t": 18.2948,
    "arguments.heads": 8,
    "arguments.attention_dim": 128,
    "arguments.norm": "col",
    "arguments.activation": "squareplus",
    "arguments.source": "detached",
    "config.lr": 0.022925,
    "config.weight_decay": 0.005077,
    "config.optimizer": "adamax",
    "input_dropout": 0.5,
    "dropout": 0.0469,
}
_GRAND_CITESEER = {
    **_GRAND_CORA,
    "t": 7.8741,
    "arguments.attention_dim": 32,
    "config.lr": 0.008636,
    "config.weight_decay": 0.1,
    "config.optimizer": "adam",
    "input_dropout": 0.6803,
    "dropout": 0.7488,
}
_ATTENDING = ("hidden", "t", "arguments.heads", "arguments.attention_dim")
_SHORT = {"t": 6.0, "arguments.heads": 4, "arguments.attention_dim": 32}
_TRAN = {
    "cora": {
        **{name: _GRAND_CORA[name] for name in _ATTENDING},
        "config.lr": 0.01334,
        "config.weight_decay": 0.00508,
        "config.optimizer": "adamax",
        "input_dropout": 0.5,
        "dropout": 0.1717,
    },
    "citeseer": {
        **{name: _GRAND_CITESEER[name] for name in _ATTENDING},
        "config.lr": 0.00604,
        "config.weight_decay": 0.1,
        "config.optimizer": "adam",
        "input_dropout": 0.680,
        "dropout": 0.843,
    },
}
_TEXAS = {"hidden": 256, "t": 2.0, "arguments.residual": "v2", "input_dropout": 0.3, "arguments.dropout": 0.3}

_GRAND_LARGE = {"arguments.heads": 4, "arguments.source": False}
_GRAND_CS = {
    **_GRAND_LARGE,
    "hidden": 16,
    "t": 3.1264,
    "arguments.attention_dim": 8,
    "arguments.norm": "col",
    "config.lr": 9.34e-4,
    "config.weight_decay": 4.738e-3,
    "config.optimizer": "rmsprop",
    "input_dropout": 0.5275,
    "dropout": 0.6858,
}
_GRAND_COMPUTERS = {
    **_GRAND_LARGE,
    "hidden": 128,
    "t": 3.249,
    "arguments.attention_dim": 64,
    "config.lr": 3.53e-3,
    "config.weight_decay": 7.675e-3,
    "config.optimizer": "adam",
    "input_dropout": 0.5973,
    "dropout": 0.0873,
}
_GRAND_PHOTO = {
    **_GRAND_LARGE,
    "hidden": 64,
    "t": 3.5824,
    "arguments.attention_dim": 64,
    "arguments.score": "pearson",
    "config.lr": 5.561e-3,
    "config.weight_decay": 4.708e-3,
    "config.optimizer": "adam",
    "input_dropout": 0.429,
    "dropout": 0.465,
}

PUBLISHED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("GRAND-l", "cora"): _GRAND_CORA,
    ("GRAND-l", "citeseer"): _GRAND_CITESEER,
    ("GRAND-l", "cs"): _GRAND_CS,
    ("GRAND-l", "computers"): _GRAND_COMPUTERS,
    ("GRAND-l", "photo"): _GRAND_PHOTO,
    ("GRAND-nl", "cora"): {**_GRAND_CORA, **_SHORT},
    ("GRAND-nl", "citeseer"): {**_GRAND_CITESEER, **_SHORT},
    ("BLEND", "cora"): {**_GRAND_CORA, "transform.kind": "pagerank"},
    ("BLEND", "citeseer"): {**_GRAND_CITESEER, "transform.kind": "pagerank"},
    **{("GraphCON-Tran", data): values for data, values in _TRAN.items()},
    **{("GraphCON-Tran, released form", data): values for data, values in _TRAN.items()},
    ("GraphCON-GCN", "texas"): {**_TEXAS, "config.lr": 0.00155, "config.weight_decay": 8.55e-4},
    ("GraphCON-GCN", "wisconsin"): {**_TEXAS, "hidden": 64, "config.lr": 0.00356, "config.weight_decay": 8.13e-3},
    ("GraphCON-GCN", "cornell"): {
        **_TEXAS,
        "t": 1.0,
        "arguments.residual": "v1",
        "config.lr": 0.00721,
        "config.weight_decay": 1.27e-3,
    },
}
"""Settings of the released codes, the first trial of a search. GRAND's are those that its code has, which are BLEND's; the
nonlinear models have a shorter time and narrower attention. On WebKB the dropout is the one that the code really used."""

_FIT: dict[str, Distribution] = {
    "config.lr": LogUniform(4e-3, 0.04),
    "config.weight_decay": LogUniform(2e-3, 0.1),
    "dropout": Uniform(0.0, 0.8),
}
_FLOW: dict[str, Distribution] = {
    **_FIT,
    "input_dropout": Uniform(0.3, 0.8),
    "hidden": Choice((32, 64, 80, 128)),
    "config.optimizer": Choice(("adam", "adamax")),
}
_ATTENTION: dict[str, Distribution] = {
    "arguments.heads": Choice((1, 2, 4, 8)),
    "arguments.attention_dim": Choice((16, 32, 64)),
    "arguments.norm": Choice(("row", "col")),
    "arguments.activation": Choice(("softmax", "squareplus")),
    "arguments.source": Choice((False, "detached")),
}
_REWIRING: dict[str, Distribution] = {
    "input_dropout": Uniform(0.3, 0.8),
    "t": Uniform(1.0, 8.0),
    "arguments.rewire.kernel.alpha": Choice((0.05, 0.1, 0.2, 0.4)),
    "arguments.rewire.top_k": Choice((8, 16, 32, 64)),
    "arguments.drop_weakest": Uniform(0.0, 0.4),
}
_POSITIONS: dict[str, Distribution] = {
    "transform.kind": Choice(("pagerank", "deepwalk", "laplacian", "returns")),
    "pos_channels": Choice((8, 16, 32)),
}
_LARGE_FIT: dict[str, Distribution] = {"config.lr": LogUniform(2e-3, 0.03), "config.weight_decay": LogUniform(1e-4, 0.03)}
_BRIEF: dict[str, Distribution] = {**_LARGE_FIT, "t": Uniform(1.0, 5.0), "hidden": Choice((32, 64, 128))}
_LOOSE: dict[str, Distribution] = {"config.lr": LogUniform(1e-3, 0.03), "config.weight_decay": LogUniform(1e-5, 0.03)}


def config(model: str, dataset: str) -> Any:
    """The recipe that a model is reported with."""
    if (model, dataset) in GRAPH_RECIPES:
        return GRAPH_RECIPES[model, dataset]
    like = "GRAND-l" if dataset in LARGE and model in ("GRAND-nl", "GRAND-nl-rw") else model  # a search there takes hours
    return changed(base(model, dataset), FOUND.get((model, dataset), FOUND.get((like, dataset), {})))


def tuned_under(dataset: str) -> str:
    """The protocol whose tuning splits a search uses; "" for settings that are not searched for."""
    others = {**dict.fromkeys(GRAPHS, ""), **dict.fromkeys(WEBKB, "geom-gcn"), "ogbn-arxiv": "time"}
    return others.get(dataset, "development")


def searched(claim: Claim) -> bool:
    """Whether a search found the settings of this cell."""
    return (claim.model, claim.dataset) in FOUND


def space(model: str, dataset: str) -> dict[str, Distribution]:
    """Where a search draws from."""
    loose = {**dict.fromkeys(WEBKB, _LOOSE), **dict.fromkeys(LARGE, _LARGE_FIT)}.get(dataset, {})
    if model in ("GCN", "MLP"):
        return {**_FIT, **loose, "hidden": Choice((16, 32, 64, 128)), "layers": Choice((1, 2, 3))}
    if model == "GAT":
        return {**_FIT, **loose, "hidden": Choice((4, 8, 16)), "heads": Choice((1, 4, 8)), "layers": Choice((1, 2, 3))}
    if model.startswith("GraphCON"):
        return {**_FLOW, **loose, **(_driven() if dataset in WEBKB else _oscillator(model))}
    if model == "GRAND-nl-rw":
        return {**_FIT, **loose, **_REWIRING}
    positions = _POSITIONS if model.startswith("BLEND") else {}
    time = Uniform(2.0, 8.0) if model == "GRAND-nl" else Uniform(4.0, 24.0)
    return {**_FLOW, **_ATTENTION, "t": time, **(_BRIEF if dataset in LARGE else {}), **positions}


def _oscillator(model: str) -> dict[str, Distribution]:
    rates: dict[str, Distribution] = {"arguments.alpha": Uniform(0.0, 1.5), "arguments.gamma": Uniform(0.0, 1.5)}
    heads: dict[str, Distribution] = {"arguments.heads": Choice((1, 2, 4, 8))}
    tran = {**heads, "arguments.attention_dim": Choice((16, 32, 64)), "t": Choice((4.0, 8.0, 12.0, 16.0, 20.0))}
    if model == "GraphCON-Tran":
        return {**rates, **tran}
    if model == "GraphCON-Tran, released form":
        return {**tran, "arguments.norm": Choice(("row", "col"))}
    return {**rates, **(heads if model == "GraphCON-GAT" else {}), "t": Choice((1.0, 2.0, 4.0, 8.0, 16.0))}


def _driven() -> dict[str, Distribution]:
    return {
        "arguments.alpha": Choice((0.0, 0.0, 0.5, 1.0)),
        "arguments.gamma": Choice((0.0, 0.0, 0.5, 1.0)),
        "arguments.residual": Choice(("v1", "v2", "skip")),
        "arguments.dropout": Uniform(0.0, 0.7),
        "input_dropout": Uniform(0.0, 0.7),
        "hidden": Choice((64, 128, 256)),
        "t": Choice((1.0, 2.0, 3.0, 4.0)),
    }
