"""Published data sets that are not in the data folder: tiny files in their published layouts, written and read back."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.datasets import PPI, ZINC, MNISTSuperpixels

from neuralpde import DataMissing, FitConfig, Graph, NodeClassifier, evaluate, fit
from neuralpde.datasets import available, load, load_graphs, resolve_graph
from neuralpde.datasets.graph_list import GraphList
from neuralpde.errors import GraphError
from neuralpde.graph_build import both_directions
from neuralpde.models import MLP, LabelInput
from neuralpde.pdes import GRAND
from neuralpde.training import GraphBatches, seeded
from solvers import UnknownName


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("NEURALPDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def edges_of(index: Tensor) -> set[tuple[int, int]]:
    return set(zip(*index.tolist(), strict=True))


# ---- the files -----------------------------------------------------------------------------------------------------------


def write_arxiv(root: Path, nodes: int = 12) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    tables = {
        "edge": np.array([[0, 1], [1, 2], [2, 1], [5, 4], [7, 11], [11, 0]]),
        "node-feat": draw.normal(size=(nodes, 3)).round(6),
        "node-label": draw.integers(0, 4, (nodes, 1)),
        "node_year": np.repeat([2015, 2018, 2019], nodes // 3).reshape(-1, 1),
    }
    folder = root / "ogbn_arxiv"
    (folder / "raw").mkdir(parents=True)
    (folder / "split" / "time").mkdir(parents=True)
    for name, table in tables.items():
        with gzip.open(folder / "raw" / f"{name}.csv.gz", "wt") as file:
            np.savetxt(file, table, delimiter=",", fmt="%.6f" if name == "node-feat" else "%d")
    for name, year in (("train", 2015), ("valid", 2018), ("test", 2019)):
        with gzip.open(folder / "split" / "time" / f"{name}.csv.gz", "wt") as file:
            np.savetxt(file, np.nonzero(tables["node_year"] == year)[0], fmt="%d")
    return tables


def write_zinc(root: Path) -> dict[str, list[dict[str, Tensor]]]:
    generator, content = torch.Generator().manual_seed(0), {}
    folder = root / "ZINC" / "raw"
    folder.mkdir(parents=True)
    for name, count in (("train", 9), ("val", 4), ("test", 5)):
        molecules = []
        for i in range(count):
            n = 3 + i % 4
            upper = torch.randint(0, 4, (n, n), generator=generator).triu(1)
            y = torch.randn(1, generator=generator)
            atoms = torch.randint(28, (n,), generator=generator)
            molecules.append({"num_atom": n, "atom_type": atoms, "bond_type": upper + upper.t(), "logP_SA_cycle_normalized": y})
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(molecules))
        (folder / f"{name}.index").write_text(",".join(map(str, range(count - 1, 0, -1))) + "\n")
        content[name] = [molecules[i] for i in range(count - 1, 0, -1)]
    return content


def write_superpixels(root: Path) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    generator = torch.Generator().manual_seed(0)

    def image(i: int) -> dict[str, Tensor]:
        n = 5 + i % 3
        x, pos = torch.rand(n, 1, generator=generator), 28 * torch.rand(n, 2, generator=generator)
        return {"x": x, "edge_index": Graph.ring(n).edge_index, "y": torch.tensor([i % 10]), "pos": pos}

    content = [image(i) for i in range(24)], [image(i) for i in range(6)]
    folder = root / "MNISTSuperpixels" / "raw"
    folder.mkdir(parents=True)
    torch.save(content, folder / "MNISTSuperpixels.pt")
    return content


def write_ppi(root: Path, directed: bool = False) -> None:
    draw, folder = np.random.default_rng(0), root / "PPI" / "raw"
    folder.mkdir(parents=True)
    for name, sizes in (("train", (4, 6, 5)), ("valid", (5,)), ("test", (3, 4))):
        count = sum(sizes)
        first, links = 0, []
        for n in sizes:
            links += [{"source": first + i, "target": first + (i + 1) % n} for i in range(n)]
            links += [{"source": first, "target": first}, {"source": first + 1, "target": first}]  # a loop, a repetition
            first += n
        nodes = [{"id": i, "test": name == "test", "val": name == "valid"} for i in range(count)]
        content = {"directed": directed, "graph": {}, "nodes": nodes, "links": links, "multigraph": False}
        (folder / f"{name}_graph.json").write_text(json.dumps(content))
        np.save(folder / f"{name}_feats.npy", draw.normal(size=(count, 5)))
        np.save(folder / f"{name}_labels.npy", draw.integers(0, 2, (count, 7)))
        offset = {"train": 1, "valid": 21, "test": 23}[name]
        np.save(folder / f"{name}_graph_id.npy", np.repeat(offset + np.arange(len(sizes)), sizes))


# ---- read back -----------------------------------------------------------------------------------------------------------


def test_arxiv_is_undirected_and_divided_by_time(tmp_path: Path, own_cache: Path):
    tables = write_arxiv(tmp_path)
    data = load("OGBN_arxiv", tmp_path)
    assert np.allclose(data.x.numpy(), tables["node-feat"], atol=1e-6) and data.x.dtype == torch.float32
    assert np.array_equal(data.y.numpy(), tables["node-label"].ravel())
    pairs = {tuple(sorted(e)) for e in tables["edge"].tolist()}
    assert edges_of(data.edge_index) == pairs | {(b, a) for a, b in pairs} and data.edge_index.size(1) == 2 * len(pairs)
    for mask, year in (("train_mask", 2015), ("val_mask", 2018), ("test_mask", 2019)):
        assert torch.equal(data[mask], data.year == year) and int(data[mask].sum()) == 4
    assert len(list(own_cache.glob("ogbn-arxiv-*.pt"))) == 1
    assert torch.equal(load("arxiv", tmp_path, "time").x, data.x)
    assert load("arxiv", tmp_path, component="largest").num_nodes == 5  # 0, 1, 2, 7, 11
    assert resolve_graph("ogbn-arxiv", tmp_path).num_nodes == 12
    assert {e.name: e.here for e in available(tmp_path)}["ogbn-arxiv"]
    (tmp_path / "ogbn_arxiv" / "raw" / "node-label.csv.gz").unlink()
    with gzip.open(tmp_path / "ogbn_arxiv" / "raw" / "node-label.csv.gz", "wt") as file:
        file.write("1\n" * 12)
    assert set(load("arxiv", tmp_path).y.tolist()) == {1}  # changed files are read anew


def test_zinc_as_pyg_reads_it(tmp_path: Path):
    content = write_zinc(tmp_path)
    whole = load_graphs("ZINC", tmp_path)
    assert (whole.train.numel(), whole.val.numel(), whole.test.numel(), whole.outputs, whole.channels) == (8, 3, 4, 1, 1)
    (tmp_path / "pyg").mkdir()
    (tmp_path / "pyg" / "raw").symlink_to(tmp_path / "ZINC" / "raw")
    for name, index in (("train", whole.train), ("val", whole.val), ("test", whole.test)):
        theirs = ZINC(str(tmp_path / "pyg"), subset=True, split=name)
        assert len(theirs) == len(index) == len(content[name])
        for data, i in zip(theirs, index, strict=True):
            graph = whole.graphs.batch(i.reshape(1))
            assert torch.equal(graph.node["x"], data.x.float()) and torch.equal(graph.edge_index, data.edge_index)
            assert torch.equal(whole.graphs.targets(i.reshape(1)), data.y)
    again = load_graphs("zinc", tmp_path)  # from the cache
    assert torch.equal(again.graphs.x, whole.graphs.x) and torch.equal(again.graphs.y, whole.graphs.y)


def test_superpixels_as_pyg_reads_them(tmp_path: Path):
    train, _ = write_superpixels(tmp_path)
    whole = load_graphs("MNIST superpixels", tmp_path)
    assert (whole.train.numel(), whole.val.numel(), whole.test.numel(), whole.outputs) == (22, 2, 6, 10)
    (tmp_path / "pyg").mkdir()
    (tmp_path / "pyg" / "raw").symlink_to(tmp_path / "MNISTSuperpixels" / "raw")
    theirs = MNISTSuperpixels(str(tmp_path / "pyg"), train=False)
    for data, i in zip(theirs, whole.test, strict=True):
        graph = whole.graphs.batch(i.reshape(1))
        assert torch.equal(graph.node["x"], data.x) and torch.equal(graph.edge_index, data.edge_index)
        assert torch.equal(graph.pos, data.pos) and torch.equal(whole.graphs.targets(i.reshape(1)), data.y)
    read = torch.cat([whole.graphs.batch(torch.cat([whole.train, whole.val])).node["x"]])
    assert torch.equal(read.sort(0).values, torch.cat([i["x"] for i in train]).sort(0).values)
    other, same = load_graphs("mnist-superpixels", tmp_path, seed=1), load_graphs("mnist-superpixels", tmp_path)
    assert torch.equal(same.graphs.x, whole.graphs.x) and not torch.equal(other.graphs.x, whole.graphs.x)
    assert isinstance(whole.graphs, GraphList) and whole.graphs.with_positions().x.size(1) == 3


@pytest.mark.parametrize("directed", [False, True])
def test_ppi_as_pyg_reads_it(directed: bool, tmp_path: Path):
    write_ppi(tmp_path, directed)
    whole = load_graphs("ppi", tmp_path)
    assert (whole.train.numel(), whole.val.numel(), whole.test.numel(), whole.outputs, whole.channels) == (3, 1, 2, 7, 5)
    (tmp_path / "pyg").mkdir()
    (tmp_path / "pyg" / "raw").symlink_to(tmp_path / "PPI" / "raw")
    for name, index in (("train", whole.train), ("val", whole.val), ("test", whole.test)):
        for data, i in zip(PPI(str(tmp_path / "pyg"), split=name), index, strict=True):
            graph = whole.graphs.batch(i.reshape(1))
            assert torch.equal(graph.node["x"], data.x) and edges_of(graph.edge_index) == edges_of(data.edge_index)
            assert torch.equal(whole.graphs.targets(i.reshape(1)), data.y)
    ((graph, y),) = GraphBatches(whole.graphs, whole.train, 8)
    assert y.shape == (15, 7) and graph.num_graphs == 3
    with seeded(0):
        model = NodeClassifier(5, 7, GRAND(8), 1.0, "rk4", dt=0.5)
    batches = [GraphBatches(whole.graphs, i, 2) for i in (whole.train, whole.val)]
    history = fit(model, *batches, task="graph", config=FitConfig(epochs=3, objective="labels"))
    assert evaluate(model, batches[1], objective="labels") == pytest.approx(history.best.val_score)


# ---- what is said --------------------------------------------------------------------------------------------------------


def test_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_ppi(tmp_path)
    (tmp_path / "PPI" / "raw" / "valid_feats.npy").unlink()
    with pytest.raises(DataMissing, match=r"PPI is not in .*PPI/raw: it lacks valid_feats\.npy\. With a network"):
        load_graphs("ppi", tmp_path)
    with pytest.raises(DataMissing, match=r"ZINC-12k is not in .*lacks train\.pickle, train\.index, val\.pickle.*subset=True"):
        load_graphs("zinc", tmp_path)
    with pytest.raises(DataMissing, match=r"ogbn_arxiv: it lacks raw/edge\.csv\.gz.*split/time/test\.csv\.gz.*package ogb"):
        load("ogbn-arxiv", tmp_path)
    monkeypatch.delenv("NEURALPDE_DATA", raising=False)
    with pytest.raises(DataMissing, match=r"DIR/MNISTSuperpixels/raw \(no root= was given and NEURALPDE_DATA is not set"):
        load_graphs("mnist-superpixels")
    with pytest.raises(UnknownName, match=r"no graph data set 'zink'\. Did you mean 'zinc'"):
        load_graphs("zink")
    with pytest.raises(ValueError, match=r"ogbn-arxiv has no split \('random', 0\)"):
        load("arxiv", tmp_path, ("random", 0))


def test_pubmed_without_features_is_named(tmp_path: Path):
    with pytest.raises(DataMissing) as caught:
        load("pubmed", tmp_path)
    assert "PubMedGraph" not in str(caught.value) and "ind.pubmed.{" in str(caught.value)
    (tmp_path / "PubMedGraph").mkdir()
    np.savez(tmp_path / "PubMedGraph" / "pubmed_graph.npz", y=np.zeros(3))
    with pytest.raises(DataMissing, match=r"pubmed_graph\.npz has the graph, the classes and the splits, but no features"):
        load("pubmed", tmp_path)


class Harmful:
    """A pickle that would make a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_pickles_run_no_code(tmp_path: Path):
    write_zinc(tmp_path)
    touched = tmp_path / "touched"
    (tmp_path / "ZINC" / "raw" / "val.pickle").write_bytes(pickle.dumps([Harmful(touched)]))
    with pytest.raises(GraphError, match=r"val\.pickle cannot be read as a pickle of tensors \(it asks for pathlib"):
        load_graphs("zinc", tmp_path)
    (tmp_path / "ZINC" / "raw" / "val.pickle").write_bytes(pickle.dumps(Nested(pickle.dumps(Harmful(touched)))))
    with pytest.raises(GraphError, match=r"val\.pickle cannot be read"):
        load_graphs("zinc", tmp_path)
    write_superpixels(tmp_path)
    torch.save(([Harmful(touched)], []), tmp_path / "MNISTSuperpixels" / "raw" / "MNISTSuperpixels.pt")
    with pytest.raises(GraphError, match=r"MNISTSuperpixels\.pt cannot be read"):
        load_graphs("mnist-superpixels", tmp_path)
    assert not touched.exists()


class Nested:
    """A tensor's storage whose bytes are a pickle that would make a file."""

    def __init__(self, content: bytes):
        self.content = content

    def __reduce__(self):
        return (torch.storage._load_from_bytes, (self.content,))


def test_files_that_do_not_belong_together(tmp_path: Path):
    write_arxiv(tmp_path)
    with gzip.open(tmp_path / "ogbn_arxiv" / "raw" / "edge.csv.gz", "wt") as file:
        file.write("0,99\n")
    with pytest.raises(GraphError, match=r"12 rows of features, 12 labels, 12 years and edges \(1, 2\) up to node 99"):
        load("arxiv", tmp_path)
    (tmp_path / "ogbn_arxiv" / "raw" / "edge.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(GraphError, match=r"edge\.csv\.gz cannot be read as a gzipped table of numbers"):
        load("arxiv", tmp_path)
    write_ppi(tmp_path)
    np.save(tmp_path / "PPI" / "raw" / "train_labels.npy", np.ones((3, 7)))
    with pytest.raises(GraphError, match=r"train: 15 rows of features, 3 of labels and 15 graph numbers do not agree"):
        load_graphs("ppi", tmp_path)
    write_zinc(tmp_path)
    (tmp_path / "ZINC" / "raw" / "test.index").write_text("77\n")
    with pytest.raises(GraphError, match=r"test\.pickle and test\.index cannot be read as ZINC's: IndexError"):
        load_graphs("zinc", tmp_path)


# ---- known labels as features --------------------------------------------------------------------------------------------


def test_known_labels_are_shown_or_asked_for_and_never_both():
    generator = torch.Generator().manual_seed(0)
    part, y = torch.arange(60) % 3, torch.randint(3, (60,), generator=generator)
    masks = {"train_mask": part == 0, "val_mask": part == 1, "test_mask": part == 2}
    graph = Graph.ring(60).with_node(x=torch.randn(60, 2, generator=generator), y=y, **masks)
    seen: list[Tensor] = []

    class Watching(MLP):
        def forward(self, data):  # type: ignore[override]
            seen.append(data.node["x"])
            return super().forward(data)

    with seeded(0):
        model = LabelInput(Watching(5, 3, hidden=8), 3, share=0.5)
    model.train()
    model(graph)
    shown = seen[-1][:, 2:]
    asked = model.asked
    assert asked is not None and not bool(shown[asked].any()) and not bool(shown[part != 0].any())
    there = shown.sum(1) == 1
    assert torch.equal(there | asked, part == 0) and 4 < int(there.sum()) < 16
    assert torch.equal(shown[there].argmax(1), y[there])
    model.eval()
    model(graph)
    assert torch.equal(seen[-1][:, 2:].sum(1) == 1, part == 0)
    other = graph.with_node(y=torch.where(part == 0, y, -1))
    assert torch.equal(model(other), model(graph))
    history = fit(model, graph, config=FitConfig(epochs=3))
    assert evaluate(model, graph, graph.node["val_mask"]) == history.best.val_score


def test_only_nodes_that_were_asked_count_in_the_loss():
    """Labels of training nodes that were shown reach the loss as features only."""
    part, y = torch.arange(30) % 3, torch.arange(30) % 2
    masks = {"train_mask": part == 0, "val_mask": part == 1, "test_mask": part == 2}
    graph = Graph.ring(30).with_node(x=torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), y=y, **masks)
    with seeded(0):
        model = LabelInput(MLP(4, 2, hidden=8, dropout=0.0), 2)
        history = fit(model, graph, config=FitConfig(epochs=1, lr=1e-12, weight_decay=0.0))
    with seeded(0):
        again = LabelInput(MLP(4, 2, hidden=8, dropout=0.0), 2).train()
    with seeded(0):
        out = again(graph)
    expected = torch.nn.functional.cross_entropy(out[again.asked], y[again.asked])
    assert history.epochs[0].loss == pytest.approx(float(expected.detach()), rel=1e-5)
    with pytest.raises(ValueError, match=r"has no train_mask; known labels are those of the training nodes"):
        model(Graph.ring(3).with_node(x=torch.ones(3, 2), y=torch.zeros(3, dtype=torch.int64)))
    with pytest.raises(ValueError, match=r"share = 1; expected 0 < share < 1"):
        LabelInput(model, 2, share=1)


def test_both_directions_once():
    found = both_directions(torch.tensor([[0, 1, 2, 2], [1, 0, 1, 1]]), 4)
    assert found.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
