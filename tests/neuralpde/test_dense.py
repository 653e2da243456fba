"""Dense products and tanh by oneDNN: the values and derivatives of the usual operations, in every mode of differentiation."""

import pytest
import torch

from neuralpde.operators.dense import project, tanh

N, C, D = 3000, 24, 16


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in ((N, C), (C, D), (D,))]


def layouts(x):
    wide = torch.empty(len(x), 2 * x.shape[1])
    wide[:, ::2] = x
    right = torch.empty(len(x), 2 * x.shape[1])
    right[:, x.shape[1] :] = x
    return x, x.t().contiguous().t(), wide[:, ::2], right[:, x.shape[1] :]


@pytest.mark.parametrize("bias", [False, True])
def test_products_for_every_layout(given, bias):
    x, weight, b = given
    exact = x.double() @ weight.double() + (b if bias else 0)
    for features in layouts(x):
        for w in layouts(weight):
            torch.testing.assert_close(project(features, w, b if bias else None).double(), exact, rtol=1e-5, atol=1e-5)


def test_derivatives_are_those_of_the_usual_operations(given):
    leaves = [v.requires_grad_() for v in given]

    def gradients(product, activation, again):
        out = activation(product(*leaves)).square().sum()
        first = torch.autograd.grad(out, leaves, create_graph=again)
        return torch.autograd.grad(torch.stack([g.square().sum() for g in first]).sum(), leaves) if again else first

    for again in (False, True):
        found = gradients(project, tanh, again)
        usual = gradients(lambda x, w, b: x @ w + b, torch.tanh, again)
        for a, b in zip(found, usual, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))


def test_forward_mode_and_transforms(given):
    x, weight, b = given

    def layer(x):
        return tanh(project(x, weight, b))

    value, tangent = torch.func.jvp(layer, (x,), (x,))[:2]
    torch.testing.assert_close(tangent, (1 - value**2) * (x @ weight), rtol=1e-4, atol=1e-5)
    assert torch.func.vmap(layer)(torch.stack((x, x))).shape == (2, N, D)
    torch.testing.assert_close(torch.func.grad(lambda x: layer(x).sum())(x), (1 - value**2) @ weight.t(), rtol=1e-4, atol=1e-4)


def test_tanh_keeps_relative_accuracy_and_special_values():
    x = torch.logspace(-38, 2, 20_000)
    torch.testing.assert_close(tanh(x).double(), torch.tanh(x.double()), rtol=5e-7, atol=0.0)
    torch.testing.assert_close(tanh(-x), -tanh(x), rtol=0, atol=0)
    special = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0]).repeat(4000)
    torch.testing.assert_close(tanh(special), torch.tanh(special), rtol=0, atol=0, equal_nan=True)


def test_wrong_shapes_are_refused_as_by_matmul(given):
    x, _, b = given
    with pytest.raises(RuntimeError, match="shapes"):
        project(x, torch.randn(C + 1, D), b)
