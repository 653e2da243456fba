"""The same work as a user would write it today: PyG's MessagePassing and EdgeIndex, torch's CSR, scipy; torchdiffeq."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy import sparse
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.nn import GCNConv, MessagePassing
from torch_geometric.utils import softmax
from torchdiffeq import odeint

MESSAGES, EDGE_INDEX, CSR, SCIPY = "PyG MessagePassing", "PyG EdgeIndex", "torch CSR", "scipy CSR"
DOPRI5 = "torchdiffeq dopri5 + PyG"


class WeightedSum(MessagePassing):
    """`y_i = sum over edges j -> i of w_e x_j`."""

    def __init__(self):
        super().__init__(aggr="add", node_dim=0)

    def forward(self, x: Tensor, edge_index: Tensor, weight: Tensor) -> Tensor:
        return self.propagate(edge_index, x=x, weight=weight)

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        return weight.unsqueeze(-1) * x_j


def edge_index_product(edges: Tensor, n: int) -> Callable[[Tensor, Tensor], Tensor]:
    """`(x, values) -> A x` by PyG's EdgeIndex; values in the order of rows, then columns."""
    index = EdgeIndex(edges.flip(0)[:, row_order(edges, n)].contiguous(), sparse_size=(n, n), sort_order="row")  # type: ignore[call-overload]
    index.fill_cache_()
    return lambda x, values: index.matmul(x, input_value=values)  # type: ignore[return-value]


def csr_product(edges: Tensor, n: int) -> Callable[[Tensor, Tensor], Tensor]:
    """`(x, values) -> A x` by a sparse CSR tensor; values in the order of rows, then columns."""
    order = row_order(edges, n)
    columns, pointers = edges[0, order].contiguous(), torch.zeros(n + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(edges[1], minlength=n), 0, out=pointers[1:])
    return lambda x, values: torch.sparse_csr_tensor(pointers, columns, values, (n, n), check_invariants=False) @ x


def scipy_matrix(edges: Tensor, values: Tensor, n: int) -> sparse.csr_array:
    """A as scipy's CSR."""
    return sparse.coo_array((values.numpy(), (edges[1].numpy(), edges[0].numpy())), shape=(n, n)).tocsr()


def row_order(edges: Tensor, n: int) -> Tensor:
    """The order of the entries by target, then source."""
    return torch.argsort(edges[1] * n + edges[0])


class Heat(nn.Module):
    """`u' = -(u - A u)`, counted."""

    def __init__(self, edges: Tensor, values: Tensor, diagonal: Tensor | None = None):
        super().__init__()
        self.sum, self.edges, self.values, self.diagonal, self.evaluations = WeightedSum(), edges, values, diagonal, 0

    def reset(self) -> None:
        self.evaluations = 0

    def forward(self, t: Tensor, u: Tensor) -> Tensor:
        self.evaluations += 1
        return self.sum(u, self.edges, self.values) - (u if self.diagonal is None else self.diagonal * u)


class Oscillators(nn.Module):
    """GraphCON with a graph convolution, state (X, Y): `X' = Y`, `Y' = sigma(conv(X)) - gamma X - alpha Y`, counted."""

    def __init__(self, conv: GCNConv, edges: Tensor, alpha: float, gamma: float, activation: Callable[[Tensor], Tensor]):
        super().__init__()
        self.conv, self.edges, self.alpha, self.gamma, self.activation = conv, edges, alpha, gamma, activation
        self.evaluations = 0

    def reset(self) -> None:
        self.evaluations = 0

    def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        self.evaluations += 1
        x, y = state
        return y, self.activation(self.conv(x, self.edges)) - self.gamma * x - self.alpha * y


class ScaledDotAttention(MessagePassing):
    """`a_e = mean over heads of softmax_j(<q_i, k_j> / sqrt(d))` and `y_i = sum_j a_ij x_j`."""

    def __init__(self, channels: int, heads: int, width: int):
        super().__init__(aggr="add", node_dim=0)
        self.heads, self.query, self.key = heads, nn.Linear(channels, width), nn.Linear(channels, width)

    def weights(self, x: Tensor, edges: Tensor) -> Tensor:
        q, k = (f(x).view(len(x), self.heads, -1) for f in (self.query, self.key))
        scores = (q[edges[1]] * k[edges[0]]).sum(-1) / q.shape[-1] ** 0.5
        return softmax(scores, edges[1], num_nodes=len(x)).mean(1)

    def forward(self, x: Tensor, edges: Tensor, weights: Tensor) -> Tensor:
        return self.propagate(edges, x=x, weights=weights)

    def message(self, x_j: Tensor, weights: Tensor) -> Tensor:
        return weights.unsqueeze(-1) * x_j


def dopri5(field: nn.Module, y0, t: float, rtol: float, atol: float):
    """The last state of torchdiffeq's adaptive dopri5."""
    found = odeint(field, y0, torch.tensor([0.0, t]), rtol=rtol, atol=atol, method="dopri5")
    return tuple(x[-1] for x in found) if isinstance(found, tuple) else found[-1]
