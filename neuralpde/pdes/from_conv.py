"""Any graph convolution of PyG as a vector field."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from solvers import unknown

from ..graph import Graph
from .base import GraphPDE

NOISES = ("refuse", "frozen")
_BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)


@dataclass(frozen=True, eq=False)
class ConvolutionField:
    """`u' = conv(u, edge_index)`.

    Args:
        conv: the convolution.
        edge_index: `[2, E]`.
        edges: further arguments that it takes by name: `edge_weight`, `edge_attr`.
        seed: of the random numbers that it draws, the same at every evaluation; None if it draws none.
    """

    conv: nn.Module
    edge_index: Tensor
    edges: dict[str, Tensor]
    seed: int | None = None

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        if self.seed is None:
            return self._checked(y, self.conv(y, self.edge_index, **self.edges))
        with torch.random.fork_rng(devices=[y.device] if y.is_cuda else []):
            torch.manual_seed(self.seed)
            return self._checked(y, self.conv(y, self.edge_index, **self.edges))

    def _checked(self, y: Tensor, out: Tensor) -> Tensor:
        if not isinstance(out, Tensor) or out.dim() != y.dim() or out.shape[:-1] != y.shape[:-1]:
            got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(f"{_name(self.conv)} returned {got} for {tuple(y.shape)}; expected one row per node")
        if out.shape[-1] != y.shape[-1]:
            raise ValueError(_widths(y.shape[-1], out.shape[-1]))
        return out


class FromConv(GraphPDE):
    """`u' = conv(u, edge_index[, edge_weight][, edge_attr])` for a PyG convolution of equal widths; see `from_conv`."""

    def __init__(self, conv: nn.Module, channels: int | None = None, noise: Literal["refuse", "frozen"] = "refuse"):
        super().__init__()
        if noise not in NOISES:
            raise unknown("noise", noise, NOISES)
        width, out = _declared_widths(conv)
        if width is not None and out is not None and width != out:
            raise ValueError(_widths(width, out))
        if channels is not None and width is not None and channels != width:
            raise ValueError(
                f"channels = {channels}, and {_name(conv)} takes {width} features; leave channels out, or match them"
            )
        self.conv, self.channels, self.noise = conv, width if channels is None else channels, noise

    def on(self, graph: Graph, u0: Tensor) -> ConvolutionField:
        self._refuse_batch_norm()
        noisy = _active_dropout(self.conv)
        if noisy and self.noise == "refuse":
            raise ValueError(
                f"{_name(self.conv)} has active dropout ({noisy}): the field would be another one at every evaluation. "
                'noise="frozen" draws one mask per solve; or switch it off (conv.eval(), dropout=0) and put it into the encoder'
            )
        seed = int(torch.randint(2**62, ())) if noisy else None
        return ConvolutionField(self.conv, graph.edge_index, self._edges(graph, u0), seed)

    def _edges(self, graph: Graph, u0: Tensor) -> dict[str, Tensor]:
        taken = inspect.signature(self.conv.forward).parameters
        edges: dict[str, Tensor] = {}
        if graph.weight is not None:
            if "edge_weight" in taken:
                edges["edge_weight"] = graph.edge_weight(u0.dtype)
            else:
                warnings.warn(f"{_name(self.conv)} takes no edge weights; those of the graph are not used", stacklevel=4)
        if graph.edge_attr is not None and "edge_attr" in taken:
            edges["edge_attr"] = graph.edge_attr
        return edges

    def _refuse_batch_norm(self) -> None:
        for name, module in self.conv.named_modules():
            if isinstance(module, _BATCH_NORMS) and (module.training or not module.track_running_stats):
                raise ValueError(
                    f"{_name(self.conv)} has batch norm in training mode ({name}): every evaluation would change its "
                    "statistics. Set it to eval(), or use LayerNorm or GraphNorm"
                )

    @classmethod
    def example(cls) -> tuple[FromConv, Graph, Tensor]:
        """A graph convolution of width three on a grid of six nodes."""
        from torch_geometric.nn import GCNConv

        generator = torch.Generator().manual_seed(0)
        pde = cls(GCNConv(3, 3).double())
        with torch.no_grad():
            for p in pde.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
        return pde, Graph.grid(2, 3), torch.randn(6, 3, generator=generator, dtype=torch.float64)


def from_conv(conv: nn.Module, channels: int | None = None, *, noise: Literal["refuse", "frozen"] = "refuse") -> FromConv:
    """Any PyG convolution as an equation: `u' = conv(u, edge_index)`.

    The graph's weights go to a convolution whose `forward` has `edge_weight`, its `edge_attr` to one that has `edge_attr`.
    Self-loops and normalisation are the convolution's own business; a factor or a -u belongs into it too.

    Args:
        conv: maps `[N, C]` to `[N, C]`.
        channels: C, where it cannot be read from the convolution (only used to check input early).
        noise: "refuse" active dropout, or "frozen": one mask per solve, drawn from a seed that torch's generator gives.

    Returns:
        The equation, a module that holds `conv`.

    Raises:
        ValueError: widths that differ (at the first evaluation, where they cannot be read from the convolution); at the solve,
            active dropout with noise="refuse" and batch norm in training mode.

    Reference: M. Poli et al., Graph neural ordinary differential equations (2019).
    """
    return FromConv(conv, channels, noise)


def _declared_widths(conv: nn.Module) -> tuple[int | None, int | None]:
    """Features in and out as PyG's classes declare them; None where they do not."""
    width, out = getattr(conv, "in_channels", None), getattr(conv, "out_channels", None)
    heads: Any = getattr(conv, "heads", 1)
    if isinstance(out, int) and isinstance(heads, int) and getattr(conv, "concat", False) is True:
        out = out * heads
    known = isinstance(width, int) and width > 0
    return (width if known else None), (out if isinstance(out, int) and out > 0 else None)


def _widths(width: int, out: int) -> str:
    return f"field maps {width} -> {out} features; dx/dt needs equal width. Put the change in the encoder/decoder."


def _active_dropout(conv: nn.Module) -> str:
    """Which part draws random numbers, or an empty string."""
    for name, module in conv.named_modules():
        rate = module.p if isinstance(module, nn.modules.dropout._DropoutNd) else getattr(module, "dropout", 0.0)
        if module.training and isinstance(rate, int | float) and rate > 0:
            return f"{name or type(module).__name__}, rate {rate:g}"
    return ""


def _name(conv: nn.Module) -> str:
    return type(conv).__name__
