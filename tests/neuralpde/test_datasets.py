"""The datasets: what they hold, that loading touches neither the network nor the given folder, and what is said if it fails."""

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch_geometric.data import Data

from neuralpde import datasets
from neuralpde.datasets.published import PUBLISHED, find_raw
from neuralpde.datasets.raster import EARTH_RADIUS
from neuralpde.datasets.sea import GRAVITY, long_wave_faces
from neuralpde.errors import DataMissing, GraphError
from neuralpde.graph import Graph, as_graph
from solvers import UnknownName

MASKS = ("train_mask", "val_mask", "test_mask")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError(f"the network was asked for: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("NEURALPDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data_root() -> Path:
    root = os.environ.get("NEURALPDE_DATA")
    if not root:
        pytest.skip("NEURALPDE_DATA is not set: the published graphs (Cora, Texas, ...) are not read")
    return Path(root)


def needs(root: Path, name: str) -> None:
    if find_raw(PUBLISHED[name], root) is None:
        pytest.skip(f"the raw files of {name} are not under NEURALPDE_DATA")


def sizes(data: Data) -> list[int]:
    return [int(data[key].sum()) for key in MASKS]


def disjoint(data: Data) -> bool:
    return int(torch.stack([data[key].long() for key in MASKS]).sum(0).max()) <= 1


# ---- bundled -------------------------------------------------------------------------------------------------------------


def test_sea_has_the_wet_cells_and_their_volumes():
    graph = datasets.salish_sea()
    raster = datasets.salish_raster()
    assert (graph.num_nodes, graph.num_edges) == (2_880, 10_570)
    assert graph.undirected
    depth, area, cell = graph.node["depth"], graph.node["area"], graph.node["cell"]
    assert graph.weight is not None
    assert depth.dtype == area.dtype == graph.weight.dtype == torch.float64
    assert float(depth.min()) > 5
    assert float(depth.max()) == 1437
    rows, cols = cell.numpy().T
    assert np.array_equal(raster.elevation[rows, cols], -depth.numpy())
    picture = raster.paint(depth, cell)
    assert np.array_equal(np.isfinite(picture), raster.elevation < -5)
    assert np.array_equal(graph.node["lonlat"][:, 0].numpy(), raster.longitude[cols])
    # all cells together are the spherical rectangle; the wet ones are what they cover of it
    lon, lat = raster.faces()
    box = EARTH_RADIUS**2 * (lon[-1] - lon[0]) * (np.sin(lat[-1]) - np.sin(lat[0]))
    assert raster.areas().sum() == pytest.approx(box, rel=1e-12)
    assert float(area.sum()) == pytest.approx(raster.areas()[raster.elevation < -5].sum(), rel=1e-12)
    assert float(area.sum()) == pytest.approx(17_255e6, rel=1e-3)


def test_sea_edges_join_neighbouring_cells():
    graph = datasets.salish_sea()
    source, target = graph.edge_index
    steps = (graph.node["cell"][source] - graph.node["cell"][target]).abs()
    assert bool((steps.sum(1) == 1).all())
    assert graph.pos is not None
    distance = (graph.pos[source] - graph.pos[target]).norm(dim=1)
    assert 2_300 < float(distance.min()) < float(distance.max()) < 2_500
    assert graph.weight is not None
    depth = (graph.node["depth"][source] + graph.node["depth"][target]) / 2
    ratio = graph.weight / (GRAVITY * depth)  # cells are nearly square: face length / distance is nearly 1
    assert 0.97 < float(ratio.min()) < float(ratio.max()) < 1.03


def test_sea_fluxes_are_those_of_the_sphere():
    """On a sphere, div grad Y = -2 Y / R^2 for Y = sin(lat) and cos(lat) cos(lon); a uniform depth of 100 m, without land."""
    raster = datasets.salish_raster()
    wet = np.ones(raster.shape, dtype=bool)
    pairs, weight = long_wave_faces(raster, wet, np.full(raster.shape, 100.0), GRAVITY)
    lon, lat = np.meshgrid(np.radians(raster.longitude), np.radians(raster.latitude))
    for harmonic in (np.sin(lat), np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon)):
        u = harmonic.ravel()
        flux = weight * (u[pairs[1]] - u[pairs[0]])
        net = np.bincount(pairs[0], flux, u.size) - np.bincount(pairs[1], flux, u.size)
        got = net.reshape(raster.shape) / raster.areas()
        expected = -2 * GRAVITY * 100.0 * harmonic / EARTH_RADIUS**2
        assert np.allclose(got[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=1e-4, atol=0)


def test_sea_sponge_grows_towards_the_open_ocean():
    graph = datasets.salish_sea(sponge_width=20e3)
    sponge, lonlat = graph.node["sponge"], graph.node["lonlat"]
    assert float(sponge.min()) == 0
    assert bool((sponge[lonlat[:, 0] > -124.5] == 0).all())  # none in the straits
    assert bool((sponge[(lonlat[:, 0] < -125.99) & (lonlat[:, 1] < 49)] > 0).all())
    speed = (GRAVITY * graph.node["depth"].max()).sqrt()
    assert float(sponge.max()) == pytest.approx(float(3 * speed / 20e3 * np.log(100)))
    south = graph.node["cell"][:, 1] == 20
    by_row = sponge[south][graph.node["cell"][south][:, 0].argsort()]
    assert bool((by_row[1:9] <= by_row[:8]).all())
    assert float(datasets.salish_sea(sponge_width=0).node["sponge"].max()) == 0


def test_sea_options():
    ocean = datasets.salish_sea(connected=True)
    assert ocean.num_nodes == 2_026
    assert nx.number_connected_components(ocean.to_networkx()) == 1
    shore = datasets.salish_sea(min_depth=0, connected=True, dtype=torch.float32)
    assert shore.num_nodes == 4_825
    assert shore.node["depth"].dtype == torch.float32
    with pytest.raises(GraphError, match=r"min_depth=2000 m leaves no wet cell; the deepest is 1437 m"):
        datasets.salish_sea(min_depth=2000)
    assert datasets.salish_sea(min_depth=1000).num_nodes > 0


def test_terrain():
    graph = datasets.jacksboro()
    assert (graph.num_nodes, graph.num_edges) == (138_632, 553_034)
    elevation, cell = graph.node["elevation"], graph.node["cell"]
    assert (float(elevation.min()), float(elevation.max())) == (236, 1076)
    raster = datasets.jacksboro_raster()
    assert raster.shape == (344, 403)
    assert np.array_equal(raster.paint(elevation, cell), raster.elevation)
    assert np.all(np.diff(raster.latitude) > 0)
    assert (raster.latitude[0], raster.latitude[-1]) == pytest.approx((36.44625, 36.7329), abs=2e-3)
    assert graph.pos is not None
    assert graph.pos.max(0).values.tolist() == pytest.approx([29_900, 31_800], rel=5e-3)  # km by km: 0.335 x 0.286 degrees
    part = datasets.jacksboro((10, 20))
    assert part.num_nodes == 200
    assert torch.equal(part.node["elevation"].reshape(10, 20), elevation.reshape(344, 403)[:10, :20])
    for crop in ((345, 10), (0, 5)):
        with pytest.raises(GraphError, match=r"between \(1, 1\) and \(344, 403\)"):
            datasets.jacksboro(crop)


def test_karate():
    data = datasets.karate()
    assert (data.num_nodes, data.edge_index.size(1)) == (34, 156)
    assert int(data.y.sum()) == 17
    assert (sizes(data), disjoint(data)) == ([2, 10, 22], True)
    assert torch.equal(data.x, torch.eye(34))
    assert "edge_weight" not in data
    weighted = as_graph(datasets.karate(weighted=True))
    assert float(weighted.edge_weight().sum()) == 2 * 231  # Zachary's matrix of contexts


def test_digits_as_one_graph():
    data = datasets.digits_knn()
    assert (data.num_nodes, data.edge_index.size(1), data.x.shape) == (1_797, 19_864, (1_797, 64))
    assert (float(data.x.min()), float(data.x.max())) == (0, 1)
    assert (sizes(data), disjoint(data)) == ([200, 300, 1_297], True)
    assert torch.bincount(data.y[data.train_mask]).tolist() == [20] * 10
    source, target = data.edge_index
    assert float((data.y[source] == data.y[target]).float().mean()) == pytest.approx(0.96, abs=5e-3)
    assert as_graph(data).undirected
    assert sizes(datasets.digits_knn(labels_per_class=3, val_per_class=5)) == [30, 50, 1_717]
    with pytest.raises(ValueError, match=r"class \d has 1\d\d nodes; 200 for training and 30 for validation need 230"):
        datasets.digits_knn(labels_per_class=200)


def test_digits_as_grids():
    grids = datasets.digits_grids()
    assert (len(grids), grids.x.shape, grids.graph.num_nodes) == (1_797, (1_797, 64, 1), 64)
    index = torch.tensor([5, 0, 99])
    batch = grids.batch(index)
    assert (batch.num_nodes, batch.num_graphs, batch.num_edges) == (192, 3, 3 * grids.graph.num_edges)
    assert torch.equal(batch.node["x"].reshape(3, 64, 1), grids.x[index])
    assert grids.batch(torch.tensor([1, 2, 3])).pattern is batch.pattern
    data = grids.data(slice(0, 3))
    assert torch.equal(data.y, grids.y[:3])
    assert as_graph(data) is as_graph(data)
    assert as_graph(grids.data(index)).pattern is as_graph(data).pattern
    train, val, test = grids.split()
    assert torch.equal(torch.cat([train, val, test]).sort().values, torch.arange(1_797))
    assert (train.numel(), val.numel()) == (1_258, 180)


@pytest.mark.parametrize("make", [datasets.karate, datasets.digits_knn])
def test_splits_follow_their_seed_only(make: Any):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = make(seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, other = make(seed=3), make(seed=4)
    assert all(torch.equal(first[key], again[key]) for key in MASKS)
    assert not torch.equal(first.test_mask, other.test_mask)


def test_class_split_leaves_unknown_labels_out():
    y = torch.tensor([0, 0, 0, 1, 1, 1, -1])
    train, val, test = datasets.class_split(y, 1, 1)
    assert torch.bincount(y[train]).tolist() == torch.bincount(y[val]).tolist() == [1, 1]
    assert not bool((train | val | test)[-1])


# ---- published -----------------------------------------------------------------------------------------------------------

QUICK = ("cora", "citeseer", "texas", "wisconsin", "cornell", "chameleon", "actor", "photo", "dblp", "minesweeper")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in PUBLISHED if n != "pubmed"]
)
def test_published_statistics(name: str, data_root: Path):
    needs(data_root, name)
    data, entry = datasets.load(name), PUBLISHED[name]
    got = (data.num_nodes, data.edge_index.size(1), data.x.size(1), int(data.y.max()) + 1)
    assert got == (entry.nodes, entry.edges, entry.features, entry.classes)
    assert all(data[key].shape == (entry.nodes,) for key in MASKS)
    assert disjoint(data)
    assert as_graph(data).num_edges == entry.edges


@pytest.mark.parametrize(
    ("name", "split", "expected"),
    [
        ("Cora", None, [140, 500, 1000]),
        ("Cora", "public", [140, 500, 1000]),
        ("cora", ("geom-gcn", 3), [1192, 796, 497]),
        ("texas", None, [87, 59, 37]),
        ("texas", 9, [87, 59, 37]),
        ("Amazon_Photo", None, [160, 240, 7250]),
        ("cora", ("random", 5), [140, 210, 2358]),
    ],
)
def test_splits(name: str, split: Any, expected: list[int], data_root: Path):
    assert sizes(datasets.load(name, data_root, split)) == expected


@pytest.mark.parametrize(("name", "nodes", "classes"), [("cora", 2_485, 7), ("citeseer", 2_120, 6)])
def test_development_split_of_the_largest_component(name: str, nodes: int, classes: int, data_root: Path):
    data = datasets.load(name, data_root, ("development", 3), component="largest")
    assert data.num_nodes == nodes
    assert sizes(data) == [20 * classes, 1500 - 20 * classes, nodes - 1500]
    again = datasets.load(name, data_root, ("development", 3), component="largest")
    other = datasets.load(name, data_root, ("development", 4), component="largest")
    assert torch.equal(data.test_mask, again.test_mask) and not torch.equal(data.test_mask, other.test_mask)
    per_class = torch.bincount(torch.as_tensor(data.y)[data.train_mask], minlength=classes)
    assert per_class.tolist() == [20] * classes
    total = data.train_mask.int() + data.val_mask.int() + data.test_mask.int()
    assert bool((total == 1).all())


def test_a_short_class_of_a_development_split_says_so():
    y = torch.tensor([0] * 50 + [1] * 3)
    with pytest.warns(UserWarning, match="class 1 has"):
        train, val, test = datasets.development_split(y, 40, 5)
    assert int(train.sum()) <= 8 and int(test.sum()) == 13 and int((train | val).sum()) == 40
    with pytest.raises(ValueError, match="would leave none"):
        datasets.development_split(y, 53)


def test_largest_component_of_a_small_graph():
    from torch_geometric.data import Data

    edges = torch.tensor([[1, 2, 4, 5, 6], [2, 1, 5, 6, 4]])
    data = Data(x=torch.arange(8.0).unsqueeze(1), edge_index=edges, y=torch.arange(8))
    part = datasets.largest_component(data)
    assert part.y.tolist() == [4, 5, 6] and part.x.flatten().tolist() == [4, 5, 6]
    assert part.edge_index.tolist() == [[0, 1, 2], [1, 2, 0]]


def test_ten_splits_at_once_and_one_by_one(data_root: Path):
    every = datasets.load("texas", data_root, "all")
    assert every.train_mask.shape == (183, 10)
    for i in (0, 9):
        assert torch.equal(datasets.load("texas", data_root, i).test_mask, every.test_mask[:, i])
    assert not torch.equal(every.test_mask[:, 0], every.test_mask[:, 9])


def test_loading_writes_nothing_into_the_root(tmp_path: Path, data_root: Path, own_cache: Path):
    needs(data_root, "texas")
    root = tmp_path / "root"
    shutil.copytree(data_root / "WebKB" / "texas" / "raw", root / "WebKB" / "texas" / "raw")
    folders = [root, root / "WebKB", root / "WebKB" / "texas", root / "WebKB" / "texas" / "raw"]
    for folder in folders:
        folder.chmod(0o555)
    before = {str(p): p.stat().st_mtime_ns for p in root.rglob("*")}
    try:
        first, again = datasets.load("texas", root), datasets.load("texas", root)
        assert {str(p): p.stat().st_mtime_ns for p in root.rglob("*")} == before
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert torch.equal(first.x, again.x)
    (home,) = own_cache.iterdir()
    assert (home / "texas" / "processed" / "data.pt").is_file()
    # the family's own folder is a root too, and another place is another entry of the cache
    assert torch.equal(datasets.load("texas", root / "WebKB").x, first.x)
    assert len(list(own_cache.iterdir())) == 1
    # a cache whose links are gone is mended, not fetched
    shutil.rmtree(home / "texas" / "raw")
    assert torch.equal(datasets.load("texas", root).x, first.x)


def test_changed_raw_files_are_read_anew(tmp_path: Path, data_root: Path):
    needs(data_root, "texas")
    raw = tmp_path / "WebKB" / "texas" / "raw"
    shutil.copytree(data_root / "WebKB" / "texas" / "raw", raw)
    for path in [raw, *raw.iterdir()]:
        path.chmod(0o755)
    assert datasets.load("texas", tmp_path).edge_index.size(1) == 325
    edges = raw / "out1_graph_edges.txt"
    edges.write_text("\n".join(edges.read_text().split("\n")[:11]) + "\n")
    assert datasets.load("texas", tmp_path).edge_index.size(1) == 10


def test_cache_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("NEURALPDE_CACHE", "/y")
    assert datasets.cache_folder() == Path("/y")
    monkeypatch.delenv("NEURALPDE_CACHE")
    assert datasets.cache_folder() == Path("/x/neuralpde")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert datasets.cache_folder() == Path("/home/me/.cache/neuralpde")


# ---- what is said --------------------------------------------------------------------------------------------------------


def test_missing_files_are_named(tmp_path: Path):
    (tmp_path / "Planetoid" / "Cora" / "raw").mkdir(parents=True)
    (tmp_path / "Planetoid" / "Cora" / "raw" / "ind.cora.x").touch()
    with pytest.raises(DataMissing) as caught:
        datasets.load("cora", tmp_path)
    text = str(caught.value)
    assert str(tmp_path / "Planetoid" / "Cora" / "raw") in text
    assert "ind.cora.{tx,allx,y,ty,ally,graph,test.index}" in text
    assert f"torch_geometric.datasets.Planetoid(root={str(tmp_path / 'Planetoid')!r}, name='Cora')" in text
    assert isinstance(caught.value, FileNotFoundError)
    for name in ("digits", "karate"):  # the offline sets that it names
        assert name in text
        assert datasets.load(name).num_nodes > 0
    assert "salish_sea" in text


def test_missing_root_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NEURALPDE_DATA", raising=False)
    with pytest.raises(DataMissing, match=r"no root= was given and NEURALPDE_DATA is not set.*amazon_electronics_photo\.npz"):
        datasets.load("photo")
    with pytest.raises(DataMissing, match=r"film_split_0\.6_0\.2_9\.npz.*datasets\.Actor\(root='DIR/Actor'\)"):
        datasets.load("actor")
    with pytest.raises(DataMissing, match=r"cora_split_0\.6_0\.2_0\.npz.*geom-gcn"):
        datasets.load("cora", split=0)


def test_unknown_names_and_splits(tmp_path: Path):
    with pytest.raises(UnknownName, match=r"no dataset 'coar'\. Did you mean 'cora'"):
        datasets.load("coar")
    with pytest.raises(ValueError, match=r"texas has no split 'public'; expected one of \('geom-gcn', 0\.\.9\), 'all'"):
        datasets.load("texas", tmp_path, "public")
    for name, split in (("cora", 10), ("photo", 0), ("cora", "pubic"), ("digits", "public")):
        with pytest.raises(ValueError, match="has no split"):
            datasets.load(name, tmp_path, split)


def test_available_agrees_with_what_is_loaded(tmp_path: Path):
    rows = {row.name: row for row in datasets.available(tmp_path)}
    assert set(PUBLISHED) < set(rows)
    assert not any(rows[name].here or rows[name].offline for name in PUBLISHED)
    for name, row in rows.items():
        if row.offline:
            graph = datasets.resolve_graph(name)
            assert (graph.num_nodes, graph.num_edges) == (row.nodes, row.edges)
            labels = graph.node.get("y")
            assert row.labels == (0 if labels is None else int(labels.max()) + 1)


def test_available_sees_the_files(data_root: Path):
    needs(data_root, "cora")
    assert {row.name: row.here for row in datasets.available(data_root)}["cora"]


@pytest.mark.parametrize(
    ("text", "nodes", "edges"),
    [
        ("karate", 34, 156),
        ("Sea:Salish", 2_880, 10_570),
        ("terrain:jacksboro:10x20", 200, 740),
        ("grid:3x4", 12, 34),
        ("torus:3x4", 12, 48),
        ("ring:100", 100, 200),
        ("path:50", 50, 98),
        ("complete:5", 5, 20),
        ("digits:knn4", 1_797, 10_232),
    ],
)
def test_graphs_by_name(text: str, nodes: int, edges: int):
    graph = datasets.resolve_graph(text)
    assert (graph.num_nodes, graph.num_edges) == (nodes, edges)


def test_published_graph_by_name(data_root: Path):
    needs(data_root, "cora")
    graph = datasets.resolve_graph("cora")
    assert (graph.num_nodes, graph.num_edges, graph.undirected) == (2_708, 10_556, True)


def test_names_that_are_not_graphs():
    with pytest.raises(UnknownName, match=r"'gird:64x64'.*Did you mean 'grid:64x64'.*\.pt, \.npz, \.csv, \.graphml"):
        datasets.resolve_graph("gird:64x64")
    for text in ("grid:64", "ring", "path:x", "grid:3x4x5", "terrain:jacksboro:5", "digits:knn"):
        with pytest.raises(GraphError, match="is not of the form"):
            datasets.resolve_graph(text)
    with pytest.raises(GraphError, match="at least 3 for a ring"):
        datasets.resolve_graph("ring:2")
    with pytest.raises(FileNotFoundError, match=r"no file 'nowhere\.csv'"):
        datasets.resolve_graph("nowhere.csv")


# ---- files ---------------------------------------------------------------------------------------------------------------


def test_files_of_every_kind(tmp_path: Path):
    graph = Graph.from_edges([[0, 1, 2], [1, 2, 0]], torch.tensor([1.0, 2.0, 0.5]))
    torch.save(graph.to_data(), tmp_path / "data.pt")
    torch.save({"edge_index": graph.edge_index, "edge_weight": graph.weight, "num_nodes": 3}, tmp_path / "dict.pt")
    sp.save_npz(tmp_path / "scipy.npz", graph.to_scipy())
    np.savez(
        tmp_path / "arrays.npz", edge_index=graph.edge_index.numpy(), edge_weight=graph.edge_weight().numpy(), x=np.ones(1)
    )
    (tmp_path / "plain.csv").write_text("0,1,1\n1,2,2\n\n# a comment\n2,0,0.5\n")
    (tmp_path / "header.csv").write_text("source, target, w\n0, 1, 1\n1, 2, 2\n2, 0, 0.5\n")
    (tmp_path / "names.csv").write_text("from,to,w\nann,bob,1\nbob,cid,2\ncid,ann,0.5\n")
    nx.write_graphml(graph.to_networkx(), tmp_path / "graph.graphml")
    for path in tmp_path.iterdir():
        if path.suffix:
            read = datasets.resolve_graph(str(path))
            assert np.array_equal(read.to_scipy().toarray(), graph.to_scipy().toarray()), path.name
    (tmp_path / "names2.csv").write_text("u,v\nann,bob\nbob,cid\n")
    assert datasets.read_graph(tmp_path / "names2.csv").edge_index.tolist() == [[0, 1], [1, 2]]
    assert datasets.read_graph(tmp_path / "names2.csv").weight is None


class Touch:
    """What unpickling would run."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_files_that_are_not_graphs(tmp_path: Path):
    def said(name: str) -> str:
        with pytest.raises(GraphError) as caught:
            datasets.read_graph(tmp_path / name)
        return str(caught.value)

    torch.save({"edge_index": Touch(tmp_path / "ran")}, tmp_path / "code.pt")
    assert "weights_only=False" in said("code.pt")
    assert not (tmp_path / "ran").exists()
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    assert "holds a Tensor; expected a PyG Data" in said("tensor.pt")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    assert "has the arrays a; expected" in said("other.npz")
    (tmp_path / "broken.npz").write_text("no")
    assert "could not be read" in said("broken.npz")
    (tmp_path / "short.csv").write_text("0,1\n1\n")
    assert "short.csv, line 2" in said("short.csv")
    (tmp_path / "words.csv").write_text("0,1,2\n1,2,x\n")
    assert "line 2: the weight" in said("words.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "source,target" in said("empty.csv")
    (tmp_path / "broken.graphml").write_text("<graphml>")
    assert "GraphML" in said("broken.graphml")
    (tmp_path / "graph.foo").touch()
    assert "expected .pt, .npz, .csv, .graphml" in said("graph.foo")
