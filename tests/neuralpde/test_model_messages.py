"""Likely mistakes with models, blocks and the command line: each is named, and the advice works."""

import pytest
import torch

from neuralpde import GRAND, Diffusion, Graph, NodeClassifier, PDEBlock, simulate
from neuralpde.cli import main


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(6, 2, generator=torch.Generator().manual_seed(0))


def test_features_of_another_type_are_named_and_both_ways_out_work(x):
    model, graph = NodeClassifier(2, 3, GRAND(8)), Graph.ring(6)
    name = r"x is float64 and parameter '.*weight' is float32; use x.to\(torch.float32\) or model.to\(torch.float64\)"
    with pytest.raises(ValueError, match=name):
        model(x.double(), graph)
    with pytest.raises(ValueError, match=name):
        model.at(graph.with_node(x=x.double()), [0.0, 1.0])
    assert model(x.double().to(torch.float32), graph).dtype == torch.float32
    assert model.to(torch.float64)(x.double(), graph).dtype == torch.float64
    with pytest.raises(ValueError, match=r"x is int64 .* use x.to\(torch.float64\)$"):
        model(torch.ones(6, 2, dtype=torch.long), graph)


@pytest.mark.parametrize("name", ["stepsize", "step_size"])
def test_a_step_by_another_name(name):
    for make in (lambda **o: PDEBlock(Diffusion(), **o), lambda **o: NodeClassifier(2, 3, GRAND(8), **o)):
        with pytest.raises(ValueError, match=f"no option {name!r}; it is called 'dt' here"):
            make(method="rk4", **{name: 0.1})
        make(method="rk4", dt=0.1)


@pytest.mark.parametrize("times", [[], torch.tensor([])], ids=["list", "tensor"])
def test_no_times(times, x):
    with pytest.raises(ValueError, match="t holds no times; expected a final time"):
        simulate(Diffusion(), Graph.ring(6), x, times)


MISTAKES = [
    (["solve", "karate", "--device", "gpu"], ["no device 'gpu'", "cuda"]),
    (["solve", "karate", "--device", "cuda:99"], ["cuda:99", "take cpu or auto"]),
    (["train", "--data", "karate", "--hidden", "0"], ["hidden = 0", "at least 1"]),
    (["train", "--data", "karate", "--split", "99"], ["split = '99'", "karate has no published split"]),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_command_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words) and "Traceback" not in error
    assert not list(tmp_path.iterdir())
