"""The energy per variance: which frequency is left once the constant part is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VectorField

from ..graph import Graph
from .base import Observable, Reading
from .differences import edge_energy
from .energy import check_normalization, divided_by, inner_product, kernel_vector, warn_kernel
from .features import as_real, magnitude, node_features
from .kernel import outside_kernel


@dataclass(frozen=True, eq=False)
class EnergyOverVariance(Observable):
    """The mean frequency of what is not smooth yet: `tr(X' M L X) / |X - P X|_M^2`, P the projection onto the kernel of L.

    Between the smallest nonzero and the largest eigenvalue of L; for `"none"` on a connected graph it is tr(X'LX) over the
    variance |X - mean|_F^2. It does not vanish under diffusion but falls to lambda_2: it says *which* frequency survives, not
    how much of it. L and M as in `DirichletEnergy`; NaN for X in the kernel.

    Args:
        normalization: which Laplacian.

    Raises:
        UnknownName: for another normalization.

    Reference: Di Giovanni et al. (2023), Understanding convolution on graphs via energies.
    """

    normalization: str = "none"

    def __post_init__(self) -> None:
        check_normalization(self.normalization)

    @property
    def name(self) -> str:
        return f"energy over variance ({'D - A' if self.normalization == 'none' else self.normalization})"

    def on(self, graph: Graph, field: VectorField | None = None, read: Callable[[Tensor], Tensor] | None = None) -> Reading:
        kernel, mass, space = kernel_vector(graph, self.normalization), inner_product(graph, self.normalization), graph.space
        warn_kernel(self.name, kernel, field, read)
        outside = outside_kernel(graph, kernel, mass)
        scaled, total = divided_by(kernel, self.normalization), edge_energy(graph)

        def quotient(t: float, y: Tensor) -> Tensor:
            x = as_real(node_features(graph, y, read))
            z = outside(x / space.spread(magnitude(space, x), x))
            z = z / space.spread(magnitude(space, z), z)
            return total(scaled(z)) / space.total(z * z if mass is None else z * z * mass.unsqueeze(1))

        return quotient

    @classmethod
    def example(cls) -> tuple[EnergyOverVariance, Graph, Tensor]:
        """An instance, a graph and features: 0, 1, 3 on the path have energy 5 and variance 16/9 + 1/9 + 25/9."""
        return cls(), Graph.path(3), torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
