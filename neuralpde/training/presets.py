"""Settings found for a data set and a model, by validation accuracy on seeds that no table reports (100, 101, ...)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from torch import nn

from solvers import unknown

from ..models.baselines import GCN, MLP
from ..models.node_classifier import NodeClassifier
from ..pdes.base import GraphPDE
from ..pdes.diffusion import Diffusion
from ..pdes.grand import GRAND
from ..pdes.graphcon import GraphCON
from ..transform import Transform
from ..transforms.gdc import GDC, PPR
from .config import FitConfig
from .seeds import seeded

COUPLINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "graphcon-gcn": {"coupling": "gcn"},
        "graphcon-gat": {"coupling": "gat", "activation": "elu"},
        "graphcon-tran": {"coupling": "transformer", "activation": None},
    }
)
"""GraphCON by its couplings, each with the sigma of the released code."""

EQUATIONS = ("grand", "grand-l", "grand-nl", "grand-nl-rw", "graphcon", *COUPLINGS, "diffusion")  # grand is grand-l
BASELINES = ("mlp", "gcn")


def equation(name: str, channels: int, arguments: Mapping[str, Any]) -> GraphPDE:
    """An equation by its name in `EQUATIONS`.

    Args:
        name: the name.
        channels: width of the features that it acts on.
        arguments: further constructor arguments.
    """
    if name in ("grand", "grand-l"):
        return GRAND(channels, **arguments)
    if name == "grand-nl":
        return GRAND(channels, attention="recomputed", **arguments)
    if name == "grand-nl-rw":
        rewired = {"rewire": GDC(PPR(0.05), top_k=16), "drop_weakest": 0.1}
        return GRAND(channels, attention="recomputed", **{**rewired, **arguments})
    if name == "graphcon" or name in COUPLINGS:
        return GraphCON(channels, **{**COUPLINGS.get(name, {}), **arguments})
    if name == "diffusion":
        return Diffusion(**arguments)
    raise unknown("equation", name, EQUATIONS)


@dataclass(frozen=True)
class Preset:
    """A model and how it is fitted.

    Args:
        model: one of `EQUATIONS` or `BASELINES`.
        hidden: width.
        t, method, dt: the solve (equations only).
        layers: number of layers (baselines only).
        input_dropout, dropout: of the encoder and of the decoder; a baseline has `dropout` on every layer.
        encoder_activation: of the encoder (equations only).
        arguments: further constructor arguments of the equation.
        config: the fit.
        transform: what becomes of the graph before; None for nothing.
    """

    model: str
    hidden: int = 64
    t: float = 3.0
    method: str = "dopri5"
    dt: float | None = None
    layers: int = 2
    input_dropout: float = 0.5
    dropout: float = 0.5
    arguments: Mapping[str, Any] = field(default_factory=dict)
    config: FitConfig = field(default_factory=FitConfig)
    transform: Transform | None = None
    encoder_activation: str | None = None

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        """A fresh model, its weights drawn with `seed`.

        Args:
            in_channels: features per node.
            num_classes: classes.
            seed: of the weights; fit with `preset.for_seed(seed).config` to have one seed for all.
        """
        with seeded(seed):
            if self.model in BASELINES:
                make = MLP if self.model == "mlp" else GCN
                return make(in_channels, num_classes, self.hidden, self.layers, self.dropout)
            return NodeClassifier(
                in_channels,
                num_classes,
                equation(self.model, self.hidden, self.arguments),
                self.t,
                self.method,
                hidden=self.hidden,
                input_dropout=self.input_dropout,
                dropout=self.dropout,
                encoder_activation=self.encoder_activation,
                dt=self.dt,
            )

    def for_seed(self, seed: int) -> Preset:
        """The same with another seed of the fit."""
        return replace(self, config=replace(self.config, seed=seed))


def preset(data: str, model: str) -> Preset:
    """The settings for a model on a data set; on one that was not tuned for, settings that train sensibly.

    Args:
        data: name of the data set, as `datasets.load` takes it.
        model: one of `EQUATIONS` or `BASELINES`.

    Raises:
        UnknownName: no such model; names the nearest.
    """
    key = (data.strip().lower().replace("_", "-"), model.strip().lower().replace("_", "-"))
    if key[1] not in (*EQUATIONS, *BASELINES):
        raise unknown("model", model, (*EQUATIONS, *BASELINES))
    known = (key[0], "grand" if key[1] == "grand-l" else key[1])
    return replace(PRESETS.get(known) or PRESETS["", known[1]], model=key[1])


_GRAND = {"heads": 4, "attention_dim": 16, "source": "detached"}
_ADAMAX = FitConfig(epochs=100, lr=0.02, weight_decay=0.005, optimizer="adamax")
_ADAM = FitConfig(epochs=200, lr=0.01, weight_decay=5e-4, optimizer="adam")
_COUPLED = FitConfig(epochs=120, lr=0.01, weight_decay=0.01, optimizer="adam")

PRESETS: Mapping[tuple[str, str], Preset] = MappingProxyType(
    {
        ("cora", "grand"): Preset("grand", 80, 18.0, "rk4", 2.0, dropout=0.4, arguments=_GRAND, config=_ADAMAX),
        ("cora", "graphcon"): Preset(
            "graphcon", 64, 8.0, "symplectic_euler", 1.0, arguments={"coupling": "gat"}, config=_COUPLED
        ),
        **{("cora", name): Preset(name, 64, 8.0, "symplectic_euler", 1.0, config=_COUPLED) for name in COUPLINGS},
        ("cora", "gcn"): Preset("gcn", 64, config=replace(_ADAM, weight_decay=5e-3)),
        ("cora", "mlp"): Preset("mlp", 64, config=replace(_ADAM, weight_decay=5e-3)),
        ("digits", "grand"): Preset("grand", 64, 4.0, "rk4", 1.0, dropout=0.2, arguments=_GRAND, config=_ADAMAX),
        ("digits", "graphcon"): Preset("graphcon", 64, 4.0, "symplectic_euler", 0.5, dropout=0.5, config=_ADAM),
        ("digits", "mlp"): Preset("mlp", 64, dropout=0.2, config=_ADAM),
        ("digits", "gcn"): Preset("gcn", 64, config=_ADAM),
        ("", "grand"): Preset("grand", 64, 4.0, "rk4", 1.0, dropout=0.2, arguments=_GRAND, config=_ADAMAX),
        ("", "grand-nl"): Preset("grand-nl", 64, 4.0, "rk4", 1.0, dropout=0.2, arguments=_GRAND, config=_ADAMAX),
        ("", "grand-nl-rw"): Preset("grand-nl-rw", 64, 4.0, "rk4", 1.0, dropout=0.2, arguments=_GRAND, config=_ADAMAX),
        ("", "graphcon"): Preset("graphcon", 64, 4.0, "symplectic_euler", 0.5, dropout=0.5, config=_ADAM),
        **{("", name): Preset(name, 64, 4.0, "symplectic_euler", 0.5, dropout=0.5, config=_ADAM) for name in COUPLINGS},
        ("", "diffusion"): Preset(
            "diffusion", 64, 4.0, "rk4", 1.0, arguments={"conductivity": "learnable", "normalization": "rw"}, config=_ADAMAX
        ),
        ("", "mlp"): Preset("mlp", 64, config=_ADAM),
        ("", "gcn"): Preset("gcn", 64, config=_ADAM),
    }
)
"""What was found, by data set and model; the data set "" is any other."""
