"""Checkpoints: read without running code, rebuilt, refused where they do not fit, and resumed bit for bit."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neuralpde import CheckpointError, FitConfig, Graph, GraphClassifier, GraphRegressor, NodeClassifier, fit, load, pdes, save
from neuralpde.models import GCN, MLP
from neuralpde.models.describe import describe, rebuild
from neuralpde.pdes import GRAND, Diffusion, GraphCON, GraphPDE
from neuralpde.training import seeded
from solvers import CG, CrankNicolson, LinearFlow, SparseOperator


@pytest.fixture
def graph() -> Graph:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(3, (30,), generator=generator)
    part = torch.arange(30) % 3
    masks = {"train_mask": part == 0, "val_mask": part == 1, "test_mask": part == 2}
    return Graph.ring(30).with_node(x=torch.randn(30, 4, generator=generator), y=y, **masks)


def classifier(seed: int = 0, hidden: int = 8) -> NodeClassifier:
    with seeded(seed):
        return NodeClassifier(4, 3, GRAND(hidden, source=True), t=2.0, method="rk4", dt=0.5, dropout=0.2)


def state(model: torch.nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in model.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


MODELS = {
    "grand": classifier,
    "graphcon": lambda: NodeClassifier(4, 3, GraphCON(8, "gat", layers=3, dt=0.5), t=1.5, method="symplectic_euler", dt=0.5),
    "integrator": lambda: NodeClassifier(4, 3, Diffusion(), hidden=7, method=CrankNicolson(linear_solver=CG()), dt=0.5),
    "per-edge": lambda: NodeClassifier(4, 3, Diffusion(torch.full((60,), 0.5), learnable=True), t=1.0, rtol=1e-3),
    "graphs": lambda: GraphClassifier(4, 3, GRAND(8), t=1.0, gradient="adjoint"),
    "numbers": lambda: GraphRegressor(4, 2, GRAND(8), t=1.0, pool="sum", gradient="checkpoint"),
    "mlp": lambda: MLP(4, 3, hidden=5, layers=3),
    "gcn": lambda: GCN(4, 3),
}


@pytest.mark.parametrize("name", MODELS)
def test_rebuilds_what_was_saved(name, graph, tmp_path):
    model = MODELS[name]().eval()
    save(model, tmp_path / "m.pt")
    assert isinstance(torch.load(tmp_path / "m.pt", weights_only=True), dict)
    again = load(tmp_path / "m.pt")
    assert type(again) is type(model) and not again.training
    assert same(state(again), state(model))
    assert torch.equal(again(graph), model(graph))
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt"]


def test_weights_keep_their_names_and_their_order():
    """Files written before depend on both: the weights on the names, the optimizer's memory on the order."""
    with seeded(0):
        model = GraphClassifier(4, 3, GRAND(8), pos_channels=2)
    parts = [".".join(name.split(".")[:2]) for name, _ in model.named_parameters()]
    assert list(dict.fromkeys(parts)) == [
        *("encoder.linear", "waves.linear", "block.pde", "mix.weight", "mix.bias", "decoder.linear"),
    ]
    assert list(dict.fromkeys(name.split(".")[0] for name, _ in classifier().named_parameters())) == [
        "encoder",
        "block",
        "decoder",
    ]
    assert list(describe(model)) == [
        *("class", "in_channels", "num_classes", "pde", "t", "method", "hidden", "pos_channels", "dropout"),
    ]


EQUATIONS = [name for name in pdes.__all__ if inspect.isclass(cls := getattr(pdes, name)) and issubclass(cls, GraphPDE)]


@pytest.mark.parametrize("name", [n for n in EQUATIONS if n not in ("GraphPDE", "FromConv")])
def test_every_equation_remembers_what_it_was_made_with(name):
    made, _, _ = getattr(pdes, name).example()
    again = rebuild(describe(made)).to(next(iter(made.state_dict().values()), torch.zeros(1).double()).dtype)
    again.load_state_dict(made.state_dict())
    assert describe(again).keys() == describe(made).keys()
    assert same(state(again), state(made))


def test_another_model_is_refused_in_words_and_the_advice_works(graph, tmp_path):
    path = tmp_path / "m.pt"
    save(MODELS["grand"](), path)
    with pytest.raises(CheckpointError) as caught:
        load(path, NodeClassifier(4, 3, GraphCON(8), t=1.0, method="rk4", dt=0.5, dropout=0.2))
    message = str(caught.value)
    assert "m.pt was made with" in message and "(neuralpde 0.1.0); this model has" in message
    was, now = message.split("; this model has")
    assert "pde=GRAND" in was and "t=2.0" in was and "pde=GraphCON" in now and "t=1.0" in now
    assert "dropout" not in message and "heads" not in message
    assert f'neuralpde.load("{path}")' in message
    assert same(state(load(str(path))), state(MODELS["grand"]()))
    with pytest.raises(CheckpointError, match=r"pde.channels=8.*this model has pde.channels=16"):
        load(path, classifier(hidden=16))


class Decay(GraphPDE):
    """An equation of the caller's own, `u' = -rate u`."""

    def __init__(self, rate: float):
        super().__init__()
        self.raw = torch.nn.Parameter(torch.tensor(rate))

    def on(self, graph, u0):
        return LinearFlow(SparseOperator.from_edges(graph.edge_index[:, :0], u0.new_zeros(0), graph.num_nodes) - self.raw * 1.0)


def test_ones_own_equation_is_known_when_named(tmp_path):
    save(NodeClassifier(4, 3, Decay(0.5)), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"no class Decay; .*known=\[Decay\]"):
        load(tmp_path / "m.pt")
    assert load(tmp_path / "m.pt", known=[Decay]).pde.raw == 0.5


def test_a_model_of_somebody_else_is_filled_and_not_rebuilt(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    save(model, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"neuralpde.load\('.*m.pt', model\)"):
        load(tmp_path / "m.pt")
    other = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    assert same(state(load(tmp_path / "m.pt", other)), state(model))
    with pytest.raises(CheckpointError, match="does not fit this model: size mismatch"):
        load(tmp_path / "m.pt", torch.nn.Sequential(torch.nn.Linear(3, 4)))


def test_files_that_are_no_checkpoints(tmp_path):
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match=r"text.pt cannot be read"):
        load(tmp_path / "text.pt")
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"not written by neuralpde.save"):
        load(tmp_path / "weights.pt")
    torch.save({"model": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(CheckpointError, match=r"code.pt cannot be read"):
        load(tmp_path / "code.pt")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.pt")


@pytest.mark.parametrize("optimizer", ["adamax", "adam", "sgd"])
def test_resumed_is_the_same_bits_as_unbroken(optimizer, graph, tmp_path):
    config = FitConfig(epochs=12, lr=0.02, optimizer=optimizer, patience=9)
    whole, first = classifier(), classifier()
    unbroken = fit(whole, graph, config=config)
    path = str(tmp_path / "fit.pt")
    fit(first, graph, config=replace(config, epochs=5, checkpoint=path, checkpoint_every=2))
    second = load(path)
    torch.manual_seed(99)
    resumed = fit(second, graph, config=config, resume=path)
    assert same(state(second), state(whole))
    for name in ("loss", "val_loss", "val_accuracy", "evaluations"):
        assert resumed.series(name) == unbroken.series(name)
    assert resumed.best.epoch == unbroken.best.epoch and resumed.stopped == unbroken.stopped


def test_a_checkpoint_of_a_fit_holds_the_best_model(graph, tmp_path):
    path = str(tmp_path / "run" / "fit.pt")
    model = classifier()
    fit(model, graph, config=FitConfig(epochs=6, checkpoint=path))
    assert same(state(load(path)), state(model))


def test_resuming_with_other_settings_is_refused(graph, tmp_path):
    path = str(tmp_path / "fit.pt")
    fit(classifier(), graph, config=FitConfig(epochs=2, checkpoint=path))
    with pytest.raises(CheckpointError, match=r"fit with lr=0.01; this one has lr=0.5"):
        fit(classifier(), graph, config=FitConfig(epochs=4, lr=0.5), resume=path)
    with pytest.raises(CheckpointError, match=r"pde.channels=8"):
        fit(classifier(hidden=16), graph, config=FitConfig(epochs=4), resume=path)
    save(classifier(), path)
    with pytest.raises(CheckpointError, match="no fit to resume"):
        fit(classifier(), graph, config=FitConfig(epochs=4), resume=path)
