"""The papers' figures: quick runs, stopped and continued ones, and what they compute against closed forms."""

import re
import sys

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from source_tree import ROOT

from neuralpde import Graph, GraphCON, as_graph, simulate
from neuralpde.cli.options import Repro
from neuralpde.cli.repro import SCRIPTS, _arguments
from neuralpde.datasets import karate_graph
from neuralpde.operators import Adjacency
from neuralpde.training import Ledger
from solvers import IntegrationError

FOLDER = ROOT / "paper_repro"
sys.path.insert(0, str(FOLDER))
try:
    import figures
    from studies import deep, energy, integrators, sparsified, study, trained, walk
finally:
    sys.path.remove(str(FOLDER))

PICTURES = {"depth": [""], "energy": ["-gat", "-gcn"], "integrators": [""], "sparsified": [""]}


@pytest.mark.parametrize("name", figures.STUDIES)
def test_quick(name, tmp_path, capsys):
    assert figures.main([name, "--quick", "--results", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    path = tmp_path / f"quick-{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(figures.STUDIES[name].points(True)) == err.count(": computed ")
    assert len({row["key"] for row in Ledger(path).rows()}) == len(lines) and all("commit" in r for r in Ledger(path).rows())
    assert sorted(p.name for p in tmp_path.glob("*.png")) == [f"quick-{name}{end}.png" for end in PICTURES[name]]
    assert out.startswith("| ") and "nan" not in out
    path.write_text("\n".join([*lines[:-1], lines[-1][:40]]), encoding="utf-8")  # it was stopped while it wrote
    assert figures.main([name, "--quick", "--draw", "--results", str(tmp_path)]) == 0
    assert ": computed " not in capsys.readouterr().err
    with pytest.warns(UserWarning, match="no row"):
        assert figures.main([name, "--quick", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().err.count(": computed ") == 1


def test_every_figure_has_its_finding_and_its_picture():
    page = (FOLDER / "FINDINGS.md").read_text(encoding="utf-8")
    assert set(re.findall(r"figures\.py ([a-z-]+)", page)) == set(figures.STUDIES) == set(PICTURES)
    linked = set(re.findall(r"\]\(results/figures/([a-z-]+)\.png\)", page))
    assert linked == {name + end for name, ends in PICTURES.items() for end in ends}
    assert all((figures.RESULTS / f"{name}.png").stat().st_size > 10_000 for name in linked)


def test_the_command_line_reaches_them(tmp_path, capsys):
    assert "figures" in SCRIPTS and _arguments(Repro("figures", "depth", quick=True)) == ["depth", "--quick"]
    assert figures.main(["depth", "--draw", "--results", str(tmp_path)]) == 0
    assert "no results" in capsys.readouterr().err
    assert figures.main([]) == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed and study.question in listed for name, study in figures.STUDIES.items())


def test_layers_are_those_of_pyg():
    from torch_geometric.nn import GATConv, GCNConv

    graph, channels = karate_graph(), 8
    x = torch.randn(graph.num_nodes, channels, generator=torch.Generator().manual_seed(0))
    adjacency = Adjacency(graph, "sym", self_loops=True, dtype=x.dtype)
    with torch.no_grad():
        for kind in ("GCN", "residual GCN"):
            layer, theirs = deep.Layer(kind, channels), GCNConv(channels, channels)
            theirs.lin.weight.copy_(layer.weight.t())
            expected = theirs(x, graph.edge_index).relu() + (x if kind == "residual GCN" else 0)
            torch.testing.assert_close(layer(graph, adjacency, x), expected, rtol=1e-4, atol=1e-6)
        layer, theirs = deep.Layer("GAT", channels, heads=2), GATConv(channels, channels // 2, heads=2)
        theirs.lin.weight.copy_(layer.weight.t())
        for vector, end in zip((theirs.att_dst, theirs.att_src), layer.ends, strict=True):
            vector.copy_(end.view(1, 2, -1))
        expected = torch.nn.functional.elu(theirs(x, graph.edge_index))
        torch.testing.assert_close(layer(graph, adjacency, x), expected, rtol=1e-4, atol=1e-6)


def test_depth_counts_layers():
    for model in (*deep.LAYERS, *deep.FLOWS):
        network = deep.Deep(model, 3, hidden=4).build(5, 2)
        if model in deep.LAYERS:
            assert len(network.layers) == 3
        else:
            assert (network.block.t, network.block.options["dt"]) == (3.0, 1.0)
    with pytest.raises(ValueError, match="'GCN'"):
        deep.Deep("GCM", 3).build(5, 2)


def linear(layers, dt, alpha=0.0):
    """A GraphCON-GCN without sigma, its weights the identity: `X'' = A X - X - alpha X'`."""
    pde = GraphCON(4, "gcn", alpha, 1.0, layers=layers, dt=dt, activation=None).double()
    with torch.no_grad():
        pde.weight.copy_(torch.eye(4, dtype=torch.float64).expand_as(pde.weight))
    return pde


def modes(graph, x):
    """Eigenvalues of GCN's operator by dense algebra, and the features in its eigenvectors."""
    a = np.eye(graph.num_nodes)
    a[graph.edge_index[1], graph.edge_index[0]] = 1.0
    root = 1 / np.sqrt(a.sum(1))
    values, vectors = np.linalg.eigh(root[:, None] * a * root)
    return values, vectors.T @ x.numpy(), np.diag(a.sum(1)) - a, vectors


def test_energies_of_plain_layers_are_those_of_the_modes():
    graph = Graph.grid(10, 10)
    x = torch.rand(100, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, parts, laplacian, vectors = modes(graph, x)
    watched = energy.watchers("gcn")
    energy.plain_layers(linear(12, 1.0, alpha=0.5), graph, x, 12, watched.values())
    for k in (0, 1, 5, 12):
        z = values[:, None] ** k * parts
        features = vectors @ z
        expected = {
            "energy": 2 / 100 * np.trace(features.T @ laplacian @ features),
            "rayleigh": ((1 - values)[:, None] * z**2).sum() / (z**2).sum(),
            "norm": np.sqrt((z**2).sum()),
        }
        for name, value in expected.items():
            assert float(watched[name].values[k, 0]) == pytest.approx(value, rel=1e-9), (name, k)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_energies_of_oscillators_are_those_of_the_modes(alpha):
    graph, dt, steps = Graph.grid(10, 10), 0.1, 30
    x = torch.rand(100, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, parts, laplacian, vectors = modes(graph, x)
    watched = energy.watchers("gcn")
    simulate(linear(steps, dt, alpha), graph, x, steps * dt, "symplectic_euler", dt=dt, monitors=list(watched.values()))
    q, p = parts, parts  # Y(0) = X(0)
    for _ in range(steps):
        p = p + dt * ((values - 1)[:, None] * q - alpha * p)
        q = q + dt * p
    features = vectors @ q
    expected = 2 / 100 * np.trace(features.T @ laplacian @ features)
    assert float(watched["energy"].values[-1, 0]) == pytest.approx(expected, rel=1e-9)
    assert len(watched["energy"].values) == steps + 1


def test_with_unit_numbers_the_energies_are_those_of_plain_layers():
    same, plain = (energy.measure((4, 4), "gat", alpha, 1.0, 6, 0) for alpha in (1.0, None))
    for name in ("energy", "rayleigh", "norm", "rank"):
        assert same[name] == pytest.approx(plain[name], rel=1e-4)
    assert energy.places(100)[:11] == list(range(11)) and energy.places(100)[-1] == 100


def dense(data):
    _, graph, u0, exact = integrators.problem(data)
    a = np.zeros((graph.num_nodes, graph.num_nodes))
    np.add.at(a, (graph.edge_index[1].numpy(), graph.edge_index[0].numpy()), graph.weight.numpy())
    return (a / a.sum(1, keepdims=True) - np.eye(len(a))) / 2, u0.numpy(), exact.numpy()


def test_errors_are_those_of_dense_algebra():
    a, u0, exact = dense(trained.KARATE)
    np.testing.assert_allclose(exact, expm(walk.TIME * a) @ u0, rtol=0, atol=1e-7)

    def rk4(h):
        return sum(np.linalg.matrix_power(h * a, k) / f for k, f in enumerate((1, 1, 2, 6, 24)))

    def implicit(h):
        return np.linalg.inv(np.eye(len(a)) - h * a)

    def trapezoidal(h):
        return implicit(h / 2) @ (np.eye(len(a)) + h / 2 * a)

    for name, step in (("RK4", rk4), ("backward Euler", implicit), ("Crank-Nicolson", trapezoidal)):
        end = step(walk.TIME - 12) @ np.linalg.matrix_power(step(1.0), 12) @ u0  # the last step is one of 0.1
        expected = np.linalg.norm(end - exact) / np.linalg.norm(exact)
        found = integrators.error(trained.KARATE, name, 1.0, 2e-6)
        assert found["error"] == pytest.approx(expected, rel=2e-2 if name != "RK4" else 1e-4)
        assert found["steps"] == 13 and (found["linear_iterations"] > 0) == (name != "RK4")


def test_the_order_decides_on_explicit_adams():
    theirs, fourth = (
        integrators.error(trained.KARATE, f"explicit Adams, {order}", 0.25, 2e-6)["error"]
        for order in ("torchdiffeq's order", "order 4")
    )
    assert theirs > 1e3 and fourth < 1e-3


def test_looped_graphs_have_their_loops():
    graph = as_graph(karate_graph())
    looped = walk.Looped(0.25)(graph)
    assert looped.num_edges == graph.num_edges + graph.num_nodes and looped.node.keys() == graph.node.keys()
    torch.testing.assert_close(looped.degree, graph.degree + 0.25)


def test_a_fit_that_breaks_down_is_a_result(monkeypatch):
    recipe = integrators._recipe("RK4", 1.0, 1e-5, True)
    found = trained.trained(recipe, trained.KARATE, 0)
    assert found["status"] == "ok" and 0 <= found["test_accuracy"] <= 1

    def broken(*_):
        raise IntegrationError("the state is not finite", "nonfinite")

    monkeypatch.setattr(trained, "fit_blind", broken)
    assert trained.trained(recipe, trained.KARATE, 0) == {"test_accuracy": None, "status": "nonfinite"}


def test_sparsified_graphs_have_k_edges_of_each_row():
    rows = sparsified.times(trained.KARATE, "GRAND-l", [sparsified.OWN, 2, 4, sparsified.FULL], 1)
    assert [row["edges"] for row in rows] == [156, 68, 136, 34 * 34]
    assert all(row["evaluations"] == 8 and min(row["forward"]) > 0 for row in rows)
    assert "training" not in rows[-1]


def test_tables_of_markdown():
    assert study.markdown(["a", 1], [["x", 2.5]]) == "| a | 1 |\n| --- | --- |\n| x | 2.5 |"
