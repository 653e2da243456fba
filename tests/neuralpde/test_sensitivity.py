"""Sensitivities against the dense exponential and autograd's Jacobian; reach and stability."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from neuralpde import GRAND, Diffusion, Graph, GraphCON, Laplacian, simulate
from neuralpde.diagnosis import hop_distance, influence, receptive_field, sensitivity
from solvers import CG, CrankNicolson


@pytest.fixture
def barbell() -> Graph:
    left = [(i, j) for i in range(4) for j in range(i)]
    return Graph.from_edges(torch.tensor([*left, *((i + 4, j + 4) for i, j in left), (3, 4)]).t(), undirected=True)


class OnceOnly(torch.autograd.Function):
    """The identity, with a gradient that has none."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        return u.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def heat(graph: Graph, time: float) -> Tensor:
    return torch.linalg.matrix_exp(-time * Laplacian(graph, dtype=torch.float64).to_dense())


def features(graph: Graph, channels: int) -> Tensor:
    return torch.randn(graph.num_nodes, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def blocks(jacobian: Tensor) -> Tensor:
    """[v, a, u, b] -> Frobenius norms [v, u]."""
    return jacobian.square().sum((1, 3)).sqrt()


@pytest.mark.parametrize("method", ["auto", "dopri5", CrankNicolson(linear_solver=CG())])
def test_heat_is_the_dense_exponential(barbell, method):
    exact, u0 = heat(barbell, 0.7), features(barbell, 2)
    fixed = isinstance(method, CrankNicolson)
    options = {"dt": 0.7 / 64, "rtol": 1e-12} if fixed else {"rtol": 1e-10, "atol": 1e-12}
    tolerance = 2e-4 if fixed else 1e-8
    row = sensitivity(Diffusion(), barbell, u0, 0.7, method, target=0, **options)
    torch.testing.assert_close(row, math.sqrt(2) * exact[0], rtol=0, atol=tolerance)
    pairs = torch.tensor([[0, 7, 0], [7, 0, 3]])
    found = sensitivity(Diffusion(), barbell, u0, 0.7, method, pairs=pairs, norm="l1", **options)
    torch.testing.assert_close(found, 2 * exact[pairs[0], pairs[1]], rtol=0, atol=tolerance)


def test_layers_are_powers_of_the_step(barbell):
    step = torch.eye(8, dtype=torch.float64) - 0.1 * Laplacian(barbell, dtype=torch.float64).to_dense()
    exact = torch.linalg.matrix_power(step, 3)
    u0 = features(barbell, 1)
    for node in (0, 3):
        options = {"target": node, "dt": 0.1}
        torch.testing.assert_close(sensitivity(Diffusion(), barbell, u0, 0.3, "euler", **options), exact[node].abs())
        reached = sensitivity(Diffusion(), barbell, u0, 0.3, "euler", source=node, dt=0.1)
        torch.testing.assert_close(reached, exact[:, node].abs())
        assert torch.equal(reached > 0, hop_distance(barbell, node) <= 3)


@pytest.mark.parametrize("pde", [GRAND(3, attention="frozen"), GRAND(3), GraphCON(3)], ids=["frozen", "attention", "graphcon"])
def test_nonlinear_equations_are_autograds_jacobian(barbell, pde):
    pde, u0 = pde.double(), features(barbell, 3)
    exact = blocks(torch.autograd.functional.jacobian(lambda u: simulate(pde, barbell, u, 0.5, "rk4", dt=0.1).u[-1], u0))
    every = torch.cartesian_prod(torch.arange(8), torch.arange(8)).t()
    found = sensitivity(pde, barbell, u0, 0.5, "rk4", dt=0.1, pairs=every)
    torch.testing.assert_close(found.reshape(8, 8), exact, rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(sensitivity(pde, barbell, u0, 0.5, "rk4", dt=0.1, target=5), exact[5], rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(sensitivity(pde, barbell, u0, 0.5, "rk4", dt=0.1, source=2), exact[:, 2], rtol=1e-11, atol=1e-14)


def test_a_bare_field_and_a_bare_map(barbell):
    laplacian = Laplacian(barbell, dtype=torch.float64)
    weight = features(barbell, 2)[:2]

    def field(t: float, u: Tensor) -> Tensor:
        return torch.tanh(u @ weight) - laplacian.matvec(u)

    u0 = features(barbell, 2)
    exact = blocks(torch.autograd.functional.jacobian(lambda u: u + 0.1 * field(0.0, u), u0))
    torch.testing.assert_close(sensitivity(field, barbell, u0, 0.1, "euler", dt=0.1, target=2), exact[2])
    torch.testing.assert_close(influence(lambda u: u + 0.1 * field(0.0, u), u0, source=2), exact[:, 2])
    assert influence(lambda u: 2 * u, u0, source=3).tolist() == pytest.approx([0, 0, 0, 8**0.5, 0, 0, 0, 0])


def test_the_root_of_a_binary_tree_is_deaf_to_its_leaves():
    """Averaging over d + 1 = 4 nodes at each of r inner levels: (1/4)^(r-1) of a leaf's own 1/2 or of the root's 1/3."""
    depth = 4
    parent = torch.arange(2 ** (depth + 1) - 2) // 2
    tree = Graph.from_edges(torch.stack([parent, torch.arange(1, 2 ** (depth + 1) - 1)]), undirected=True)
    degree = tree.degree.double() + 1

    def layer(x: Tensor) -> Tensor:
        return x.index_add(0, tree.edge_index[1], x[tree.edge_index[0]]) / degree[:, None]

    def network(x: Tensor) -> Tensor:
        for _ in range(depth):
            x = layer(x)
        return x

    found = influence(network, torch.zeros(tree.num_nodes, 1, dtype=torch.float64), target=0)
    torch.testing.assert_close(found[-1], torch.tensor(4.0**-3 / 3, dtype=torch.float64))


def test_wrong_questions_are_refused(barbell):
    u0 = features(barbell, 1)
    with pytest.raises(ValueError, match="one of target=, source= and pairs="):
        sensitivity(Diffusion(), barbell, u0, 1.0)
    with pytest.raises(ValueError, match=r"nodes 0\.\.7"):
        sensitivity(Diffusion(), barbell, u0, 1.0, target=8)
    with pytest.raises(ValueError, match="shape"):
        sensitivity(Diffusion(), barbell, u0, 1.0, pairs=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="frobenius"):
        sensitivity(Diffusion(), barbell, u0, 1.0, target=0, norm="frobenus")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one row per node"):
        sensitivity(Diffusion(), barbell, u0[:3], 1.0, target=0)
    with pytest.raises(TypeError, match="no record"):
        influence(lambda u: u.detach() * 2, u0, target=0)
    with pytest.raises(TypeError, match="differentiated twice"):
        influence(OnceOnly.apply, u0, source=0)


def test_receptive_field_is_necessary_only():
    field = receptive_field(12.5)
    assert (field.radius, field.hops, field.steps) == (5.0, 5, 25)
    shares = [receptive_field(1.0, dimension=d).share for d in (1, 2, 3)]
    assert shares == pytest.approx([0.682689492, 1 - math.exp(-1), 0.608374824], abs=1e-9)
    graph, u0 = Graph.ring(64), torch.zeros(64, 1, dtype=torch.float64)
    u0[0] = 1

    def euler(steps: int) -> Tensor:
        return simulate(Diffusion(), graph, u0, 12.5, "euler", dt=12.5 / steps, stability_check=False).u[-1]

    assert euler(field.hops).abs().max() > 1e3
    assert 0 <= euler(field.steps).min() <= euler(field.steps).max() <= 1
    with pytest.raises(ValueError, match="positive"):
        receptive_field(1.0, spacing=0.0)


def test_hops_follow_the_messages():
    one_way = Graph.from_edges([[0, 1], [1, 2]])
    assert hop_distance(one_way, 0).tolist() == [0, 1, 2]
    assert hop_distance(one_way, 2).tolist() == [math.inf, math.inf, 0]
    with pytest.raises(ValueError, match="source=3"):
        hop_distance(one_way, 3)
