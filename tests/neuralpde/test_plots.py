"""Pictures: what is drawn is what was given, axes say what they are, legends cover nothing, and no backend is forced."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from source_tree import ROOT

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from neuralpde import Graph, Monitor, plots, simulate
from neuralpde.monitors import DirichletEnergy, EffectiveRank, Norm, RayleighQuotient
from neuralpde.pdes import Diffusion
from neuralpde.plots.canvas import look
from neuralpde.plots.lattice import lattice_of, positions
from neuralpde.training.history import Epoch, History


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def drawn(figure, path):
    """Save the figure; it must not be blank, and legends must not overlap axes."""
    figure.savefig(path / "figure.png")
    renderer = figure.canvas.get_renderer()
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, "the legend is cut off"
        assert not any(box.overlaps(ax.get_window_extent(renderer)) for ax in figure.axes), "the legend covers data"
    assert np.asarray(Image.open(path / "figure.png").convert("L")).std() > 1
    return figure


@pytest.fixture(scope="module")
def watched():
    graph = Graph.grid(5, 5)
    monitors = [Monitor(one, every=0.25) for one in (DirichletEnergy(), RayleighQuotient(), Norm(), EffectiveRank())]
    u0 = torch.randn(25, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    simulate(Diffusion(), graph, u0, 2.0, "dopri5", monitors=monitors)
    return monitors


def test_importing_plots_forces_no_backend():
    code = (
        "import sys, neuralpde; from neuralpde import plots; assert 'matplotlib' not in sys.modules; plots.series; "
        "import matplotlib; print(matplotlib.rcParams._get_backend_or_none())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"MPLBACKEND": "svg"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "svg"


def test_series_of_a_monitor(watched, tmp_path):
    figure = drawn(plots.series(watched[0], xlabel="time in s"), tmp_path)
    (ax,) = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("time in s", "Dirichlet energy (D - A)", "log")
    np.testing.assert_array_equal(ax.lines[0].get_xydata()[:, 1], watched[0].values[:, 0])
    assert not figure.legends


def test_series_of_several_and_on_given_axes(watched, tmp_path):
    figure = drawn(plots.series(watched), tmp_path)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [m.name for m in watched]
    twice = drawn(plots.series([watched[0], watched[0]]), tmp_path)
    assert len(twice.legends[0].get_texts()) == 2
    mine, ax = plt.subplots()
    assert plots.series({"a": ([0, 1], [1.0, 2.0]), "b": ([0, 1], [2.0, 3.0])}, ax) is mine
    assert ax.get_legend() is not None and ax.get_yscale() == "linear"


def test_relative_series_is_a_drift():
    (ax,) = plots.series(([0, 1, 2], torch.tensor([[4.0], [5.0], [2.0]])), relative=True).axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0, 0.25, -0.5])
    assert ax.get_yscale() == "linear" and "relative change" in ax.get_ylabel()


def test_series_of_a_batch_is_a_band():
    values = np.arange(1, 12) * np.ones((5, 1))
    (ax,) = plots.series({"run": (range(5), values)}).axes
    assert len(ax.lines) == 1 and len(ax.collections) == 1
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 6)
    assert "11 graphs" in ax.lines[0].get_label()


def test_energies_have_a_panel_per_quantity(watched, tmp_path):
    runs = {"diffusion": watched, "other": {"norm": ([0, 1, 2], [1.0, 2.0, 1e4])}}
    figure = drawn(plots.energies(runs, xlabel="layer", title="Depth"), tmp_path)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Dirichlet energy (D - A)", "Rayleigh quotient (D - A)", "norm", "effective rank"]
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log", "log", "linear"]
    assert len(figure.legends[0].get_texts()) == 2
    norm = figure.axes[2]
    assert norm.lines[0].get_color() != norm.lines[1].get_color() and norm.get_xlabel() == "layer"
    with pytest.raises(ValueError, match="empty"):
        plots.energies({})


def test_work_precision(tmp_path):
    rows = [
        {"method": f"method_{i}", "evaluations": 10 * k, "error": 10.0**-k, "status": "ok"} for i in range(10) for k in (1, 2)
    ]
    rows += [{"method": "method_3", "evaluations": 0, "error": float("nan"), "status": "refused"}]
    rows += [{"method": "all refused", "evaluations": 0, "error": None, "status": "refused"}]
    figure = drawn(plots.work_precision(rows, cost="evaluations", title="Heat"), tmp_path)
    (ax,) = figure.axes
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlabel() == "evaluations of the right-hand side"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "method_3 (1 refused)" in labels and "all refused (1 refused)" in labels and len(labels) == 11
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in ax.lines}) == 11
    with pytest.raises(ValueError, match="has no seconds"):
        plots.work_precision(rows)


def test_lines_are_told_apart():
    looks = [tuple(look(i).values()) for i in range(20)]
    assert len(set(looks)) == 20


def test_training(tmp_path):
    epochs = [Epoch(i, 1 / i, 2 / i, 1 - 1 / (i + 1), 10, 0.1) for i in range(1, 30)]
    figure = drawn(plots.training({"GRAND": History(epochs), "MLP": History(epochs[:9])}), tmp_path)
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "cross-entropy" and accuracy.get_ylabel() == "validation accuracy in %"
    np.testing.assert_allclose(accuracy.lines[1].get_xydata(), [[29, 100 * (1 - 1 / 30)]])
    drawn(plots.training(History(epochs)), tmp_path)


# ---- in space -------------------------------------------------------------------------------------------------------


def test_a_grid_is_a_raster(tmp_path):
    graph, u = Graph.grid(3, 4), torch.arange(12.0)
    figure = drawn(plots.snapshot(graph, u, label="heat in K"), tmp_path)
    mesh = figure.axes[0].collections[0]
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(3, 4), u.reshape(3, 4))
    assert (mesh.get_cmap().name, mesh.get_clim()) == ("viridis", (0, 11))


def test_signs_take_a_diverging_map_about_zero():
    figure = plots.snapshot(Graph.grid(2, 2), torch.tensor([[-1.0, 0], [0, 0], [0, 0], [3, 0]]), channel=0)
    mesh = figure.axes[0].collections[0]
    assert (mesh.get_cmap().name, mesh.get_clim()) == ("RdBu_r", (-3, 3))


def test_cells_without_a_node_stay_empty(tmp_path):
    cell = torch.tensor([[5, 7], [5, 8], [6, 7], [6, 8], [7, 7]])
    lonlat = torch.tensor([[-126, 48], [-125.5, 48], [-126, 48.25], [-125.5, 48.25], [-126, 48.5]])
    graph = Graph.from_edges(torch.tensor([[0, 1], [1, 0]]), num_nodes=5, node={"cell": cell, "lonlat": lonlat})
    lattice = lattice_of(graph)
    assert lattice.x.tolist() == [-126, -125.5] and lattice.y.tolist() == [48, 48.25, 48.5] and not lattice.full
    picture = lattice.paint(np.arange(5.0))
    assert np.isnan(picture[2, 1]) and picture[2, 0] == 4
    figure = drawn(plots.snapshot(graph, torch.arange(5.0)), tmp_path)
    assert "longitude" in figure.axes[0].get_xlabel()


def test_scattered_points_and_graphs_without_positions(tmp_path):
    points = torch.rand(30, 2, generator=torch.Generator().manual_seed(0))
    graph = Graph.knn(points, 4)
    assert lattice_of(graph) is None and lattice_of(Graph.ring(7)) is None
    figure = drawn(plots.snapshot(graph, points[:, 0]), tmp_path)
    edges, nodes = figure.axes[0].collections
    assert len(edges.get_segments()) == graph.num_edges // 2 and len(nodes.get_offsets()) == 30
    bare = Graph.from_edges(graph.edge_index)
    drawn(plots.snapshot(bare, points[:, 0]), tmp_path)
    np.testing.assert_array_equal(positions(bare), positions(bare))
    large = Graph.from_edges(torch.tensor([[0], [1]]), num_nodes=3000)
    with pytest.raises(ValueError, match="give pos"):
        plots.snapshot(large, torch.zeros(3000))
    with pytest.raises(ValueError, match="expected \\(30,\\)"):
        plots.snapshot(graph, torch.zeros(29))


def test_animation(tmp_path):
    graph = Graph.grid(4, 4)
    u = torch.stack([torch.full((16, 1), 1.0 * k) for k in range(5)])
    path = plots.animate(
        graph, u, tmp_path / "new" / "heat.gif", t=range(5), time_label="{:.0f} s", title="heat", fps=10, size=(3, 2.4)
    )
    with Image.open(path) as film:
        assert film.n_frames == 5 and film.size == (240, 192) and film.info["duration"] == 100
        first = np.asarray(film.convert("RGB")).copy()
        film.seek(4)
        changed = (np.asarray(film.convert("RGB")) != first).any(2).mean()
    assert 0.1 < changed < 0.8
    for wrong, match in [({"path": "a.mp4"}, "gif"), ({"t": [1.0]}, "1 times for 5"), ({"u": u[0, :, 0]}, "frames")]:
        with pytest.raises(ValueError, match=match):
            plots.animate(**({"graph": graph, "u": u, "path": tmp_path / "x.gif"} | wrong))
    assert not plt.get_fignums()
