"""Integrals along the solutions of a model, added to its loss: the equation that is regularised is the one that is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from ..models.block import PDEBlock
from ..models.quadrature import QUADRATURES


@dataclass(frozen=True, eq=False)
class Penalty:
    """What the last forward pass of a model adds to the loss.

    Args:
        blocks: the equations of the model.
        coefficients: by name, as in `FitConfig.regularisation`.
    """

    blocks: tuple[PDEBlock, ...]
    coefficients: tuple[float, ...]

    def __call__(self) -> Tensor | float:
        """Sum over equations of coefficient times integral, the mean over graphs; a scalar."""
        total: Tensor | float = 0.0
        for block in self.blocks:
            for c, integral in zip(self.coefficients, block.integrals, strict=True):
                total = total + c * integral.mean()  # one number per graph, so no reduction over nodes
        return total


@contextmanager
def regularised(model: nn.Module, regularisation: Mapping[str, float]) -> Iterator[Penalty]:
    """Let the equations of a model integrate along their solutions, for as long as the scope lasts.

    Args:
        model: with a `PDEBlock` somewhere.
        regularisation: coefficients by name.

    Raises:
        ValueError: there is no equation in the model.
    """
    chosen = {name: c for name, c in regularisation.items() if c}
    blocks = tuple(m for m in model.modules() if isinstance(m, PDEBlock)) if chosen else ()
    if chosen and not blocks:
        raise ValueError(f"a {type(model).__name__} has no PDEBlock whose {' and '.join(chosen)} could be regularised")
    try:
        for block in blocks:
            block.quadratures = tuple(QUADRATURES[name] for name in chosen)
        yield Penalty(blocks, tuple(chosen.values()))
    finally:
        for block in blocks:
            block.quadratures, block.integrals = (), ()
