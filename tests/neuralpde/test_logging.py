"""The recipes of docs/logging.md run as they stand there, with an object in the place of the logger."""

import re
from types import SimpleNamespace

import pytest
import torch
from source_tree import ROOT
from torch.nn.functional import cross_entropy

from neuralpde import Diffusion, Graph, Monitor, simulate
from neuralpde.monitors import DirichletEnergy, Norm, attach

TEXT = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^```python\n(.*?)^```", TEXT, re.S | re.M)


def recipe(name):
    """The function of that name, compiled from the page."""
    found = next(block for block in RECIPES if f"def {name}(" in block)
    assert len(found.strip().splitlines()) <= 6
    scope = {"attach": attach, "DirichletEnergy": DirichletEnergy, "cross_entropy": cross_entropy}
    exec(found, scope)
    return scope[name]


def test_lightning():
    from torch_geometric.data import Batch, Data
    from torch_geometric.nn import GCN

    edges = Graph.ring(5).edge_index
    one = Data(x=torch.randn(5, 3), edge_index=edges, y=torch.tensor([0, 1, 0, 1, 0]))
    batch = Batch.from_data_list([one, one])
    logged = {}

    def log(name, value, batch_size):
        logged[name] = (float(value), batch_size)

    module = SimpleNamespace(model=GCN(3, 4, 2, 2), log=log)
    loss = recipe("training_step")(module, batch, 0)
    assert loss.requires_grad and loss.dim() == 0
    assert {"energy/convs.0", "energy/convs.1"} <= logged.keys()
    assert all(value >= 0 and size == 2 for value, size in logged.values())
    with attach(module.model, DirichletEnergy("sym_loops"), batch) as recording:
        module.model(batch.x, batch.edge_index)
    assert logged["energy/convs.0"][0] == pytest.approx(
        float(recording.monitors[0].values[recording.names.index("convs.0")].mean()), rel=1e-6
    )


def test_wandb():
    graph = Graph.ring(6)
    watched = [Monitor(DirichletEnergy(), every=0.5), Monitor(Norm(), every=1.0)]
    simulate(Diffusion(), graph, torch.arange(6.0).double().unsqueeze(1), 2.0, "dopri5", monitors=watched)
    axes, rows = {}, []
    run = SimpleNamespace(define_metric=lambda name, step_metric: axes.update({name: step_metric}), log=rows.append)
    recipe("to_wandb")(run, watched)
    assert axes == {one.name: f"{one.name}/t" for one in watched}
    energy = [(row[f"{watched[0].name}/t"], row[watched[0].name]) for row in rows if watched[0].name in row]
    assert [t for t, _ in energy] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert [value for _, value in energy] == watched[0].values[:, 0].tolist()
    assert len(rows) == 5 + 3
