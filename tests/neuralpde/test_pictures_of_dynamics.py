"""Pictures of dynamics: what stands on the axes is what the theory or the data say, and mistakes are named."""

import math

import matplotlib
import networkx as nx
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from neuralpde import Diffusion, Graph, GraphError, Laplacian, Wave, plots, simulate
from neuralpde.diagnosis import (
    balanced_forman_curvature,
    band_energies,
    bottleneck_map,
    field_spectrum,
    laplacian_spectrum,
    sensitivity,
)
from neuralpde.plots.amplification import amplification, labelled_methods
from solvers import method_named, stability_function

GRID = Graph.grid(6, 5)
BARBELL = Graph.from_networkx(nx.barbell_graph(5, 2))
X = torch.randn(30, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LAMBDA = laplacian_spectrum(GRID)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def legend(figure):
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def line(ax, start):
    return next(one for one in ax.lines if str(one.get_label()).startswith(start))


# ---- frequencies ----------------------------------------------------------------------------------------------------


def test_spectrum_has_a_line_per_band_and_the_theory():
    run = simulate(Diffusion(), GRID, X, torch.linspace(0, 3, 13, dtype=torch.float64), "dopri5", rtol=1e-9, atol=1e-12)
    found = band_energies(GRID, run.u, run.t, heat=1.0)
    figure = plots.spectrum(found, xlabel="time in s", title="heat")
    left, right = figure.axes
    bands = len(found.limits)
    assert legend(figure)[0] == "kernel (1)" and legend(figure)[-1].startswith("heat")
    assert len(legend(figure)) == bands + 1
    assert left.get_yscale() == "log" and left.get_xlabel() == right.get_xlabel() == "time in s"
    for b in range(bands):
        np.testing.assert_allclose(left.lines[b].get_ydata(), found.energy[:, b], rtol=1e-12)
        np.testing.assert_allclose(left.lines[bands + b].get_ydata(), found.predicted[:, b], rtol=1e-12)
    assert len({str(one.get_color()) for one in left.lines[:bands]}) == bands
    tops = [poly.get_paths()[0].vertices[:, 1].max() for poly in right.collections]
    assert len(tops) == bands - 1 and tops[-1] == pytest.approx(100)  # shares of what is not kernel
    with pytest.raises(ValueError, match="one time only"):
        plots.spectrum(band_energies(GRID, X))


def test_spectrum_hides_what_is_rounding_and_takes_constants():
    u = torch.ones(3, 30, 1, dtype=torch.float64)
    left, right = plots.spectrum(band_energies(GRID, u)).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), 30)
    assert all(np.isnan(one.get_ydata()).all() for one in left.lines[1:])
    assert right.get_ylim() == (0, 100)


# ---- filters and regions --------------------------------------------------------------------------------------------


def test_filters_are_the_stability_functions_on_the_spectrum():
    figure = plots.filters(LAMBDA, ["euler", "implicit_euler", "rk4"], 0.5)
    top, bottom = figure.axes
    fine = line(top, "exact").get_xdata()
    np.testing.assert_allclose(line(top, "exact").get_ydata(), np.exp(-0.5 * fine))
    z = -0.5 * fine
    np.testing.assert_allclose(line(top, "euler").get_ydata(), 1 + z)
    np.testing.assert_allclose(line(top, "implicit_euler").get_ydata(), 1 / (1 - z), rtol=1e-9)
    np.testing.assert_allclose(line(top, "rk4").get_ydata(), 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24)
    dots = [one for one in top.lines if one.get_marker() == "o"]
    assert [len(one.get_xdata()) for one in dots] == [30, 30, 30]
    np.testing.assert_allclose(dots[0].get_ydata(), 1 - 0.5 * LAMBDA.numpy(), atol=1e-12)
    worst = np.abs(1 - 0.5 * LAMBDA.numpy()).max()
    assert f"euler: unstable, |R| up to {worst:.3g}" in legend(figure)
    assert "implicit_euler" in legend(figure)
    assert sum(patch.get_height() for patch in bottom.patches) == 30
    assert bottom.get_xlabel() == "eigenvalue of the Laplacian"


def test_a_stabilised_filter_takes_the_stages_of_the_whole_spectrum():
    top = plots.filters(LAMBDA, {"RKC": "rkc2"}, 5.0).axes[0]
    curve = line(top, "RKC").get_ydata()
    assert np.abs(np.diff(curve)).max() < 0.2  # no jump, where every z would take its own stages
    assert np.abs(curve).max() <= 1 + 1e-9


def test_implicit_regions_are_continued_exactly():
    x, y = np.meshgrid(np.linspace(-6, 3, 25), np.linspace(0, 5, 20))
    z = (x + 1j * y).astype(np.complex128)
    for name in ("trbdf2", "crank_nicolson"):
        found = amplification(method_named(name), z)
        picked = z[::6, ::8]
        np.testing.assert_allclose(found[::6, ::8], stability_function(name)(torch.from_numpy(picked.copy())), atol=1e-7)


def test_stability_counts_what_lies_outside():
    values = -LAMBDA.to(torch.complex128)
    figure = plots.stability("euler", values, 0.4)
    (ax,) = figure.axes
    inside = int((0.4 * LAMBDA <= 2 + 1e-7).sum())
    assert f"dt s, euler keeps bounded: {inside}" in legend(figure)
    assert f"dt s, euler lets grow: {30 - inside}" in legend(figure)
    grown = line(ax, "dt s, euler lets grow")
    np.testing.assert_allclose(np.sort(grown.get_xdata()), np.sort(-0.4 * LAMBDA.numpy())[: 30 - inside])
    border = np.concatenate([path.vertices for one in ax.collections for path in one.get_paths() if len(path.vertices) > 20])
    rim = border[np.abs(np.abs(border[:, 0] + 1 + 1j * border[:, 1]) - 1) < 0.02]
    assert len(rim) > 50  # the circle |1 + z| = 1
    low, high = ax.get_xlim()
    assert low < -0.4 * float(LAMBDA[-1]) and high > 0


def test_pairs_of_a_damped_oscillator_and_its_own_methods():
    field = Wave(damping=0.3).on(GRID, X)
    values = field_spectrum(field, Wave().lift(GRID, X)).values
    figure = plots.stability(["leapfrog", "rk4"], values, 0.6)
    (ax,) = figure.axes
    assert any(text.startswith("leapfrog, |Im z| <= 2") for text in legend(figure))
    assert "|R| = 1, rk4" in legend(figure)
    dots = line(ax, "dt s, leapfrog keeps bounded")
    assert len(dots.get_xdata()) == 60
    np.testing.assert_allclose(np.sort(dots.get_ydata()), np.sort((0.6 * values.imag).numpy()))
    mine, axes = plt.subplots()
    assert plots.stability("rk4", values, 0.6, axes, title="here") is mine and axes.get_title() == "here"


def test_methods_are_labelled():
    assert list(labelled_methods("rk4")) == ["rk4"]
    assert list(labelled_methods(["rk4", "rk4"])) == ["rk4", "rk4 (2)"]
    assert list(labelled_methods({"mine": "euler"})) == ["mine"]


# ---- on the graph ---------------------------------------------------------------------------------------------------


def test_edges_are_drawn_once_and_bridges_last():
    curvature = balanced_forman_curvature(BARBELL)
    figure = plots.edges(BARBELL, curvature, label="curvature", node=BARBELL.degree, node_label="degree")
    ax = figure.axes[0]
    lines, dots = ax.collections
    assert len(lines.get_segments()) == BARBELL.num_edges // 2
    shown = np.asarray(lines.get_array())
    assert (np.diff(shown) <= 0).all() and shown[-1] == pytest.approx(float(curvature.min()))
    assert lines.get_clim()[0] == -lines.get_clim()[1]
    widths = lines.get_linewidths()
    assert widths[-1] > 1.5 * widths[0]
    np.testing.assert_array_equal(dots.get_array(), BARBELL.degree)
    assert {"curvature", "degree"} <= {one.get_ylabel() for one in figure.axes[1:]}


def test_edges_stand_where_the_nodes_are():
    figure = plots.edges(GRID, torch.arange(GRID.num_edges).double())
    ends = np.stack(figure.axes[0].collections[0].get_segments())
    assert set(map(tuple, ends.reshape(-1, 2))) == set(map(tuple, GRID.pos.double().numpy()))
    np.testing.assert_allclose(np.abs(ends[:, 0] - ends[:, 1]).sum(1), 1)
    bare = Graph.from_edges(Graph.path(9).edge_index)
    for layout in ("spring", "spectral"):
        where = plots.edges(bare, torch.zeros(16), layout=layout).axes[0].collections[-1].get_offsets()
        assert where.shape == (9, 2) and np.isfinite(where).all()
    order = np.asarray(plots.edges(bare, torch.zeros(16), layout="spectral").axes[0].collections[-1].get_offsets())[:, 0]
    assert (np.diff(order) > 0).all() or (np.diff(order) < 0).all()  # the slowest mode sorts a path


def test_bottleneck_marks_the_node_and_draws_decades():
    heard = sensitivity(Diffusion(), BARBELL, torch.ones(12, 1, dtype=torch.float64), 1.0, target=0)
    figure = plots.bottleneck(BARBELL, bottleneck_map(BARBELL), heard, node=0)
    left, right = figure.axes[:2]
    assert left.get_title() == "edges: curvature" and right.get_title().startswith("nodes: sensitivity")
    dots = right.collections[-1]
    np.testing.assert_allclose(dots.get_array(), torch.log10(heard / heard.max()))
    ring = right.lines[-1]
    np.testing.assert_allclose([ring.get_xdata()[0], ring.get_ydata()[0]], dots.get_offsets()[0])
    plain = plots.bottleneck(BARBELL, bottleneck_map(BARBELL), layout="spectral")
    assert "least curvature" in plain.axes[1].get_title() and not plain.axes[1].lines
    far = torch.tensor([1.0, *[0.0] * 11])
    gone = plots.bottleneck(BARBELL, bottleneck_map(BARBELL), far).axes[1].collections[-1].get_array()
    assert np.ma.masked_invalid(gone).count() == 1  # what is not reached is not drawn


# ---- phase portraits ------------------------------------------------------------------------------------------------


def test_phase_of_nodes_and_of_modes():
    t = torch.linspace(0, 8, 161, dtype=torch.float64)
    run = simulate(Wave(), GRID, X, t, "dopri5", rtol=1e-10, atol=1e-12)
    (ax,) = plots.phase(run.solution.y, nodes=[0, 7], channel=1).axes
    np.testing.assert_array_equal(ax.lines[2].get_xdata(), run.solution.y[:, 0, 7, 1])
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), run.solution.y[:, 1, 7, 1])
    figure = plots.phase(run.solution.y, modes=[1, 4], stiffness=run.field.stiffness)
    (ax,) = figure.axes
    values = torch.linalg.eigvalsh(Laplacian(GRID, dtype=torch.float64).to_dense())
    for k in (1, 4):
        curve = line(ax, f"mode {k}, eigenvalue {float(values[k]):.4g}").get_xydata()
        level = curve[:, 1] ** 2 + float(values[k]) * curve[:, 0] ** 2
        np.testing.assert_allclose(level, level[0], rtol=1e-6)  # an undamped mode stays on its ellipse
    ellipse = line(ax, "energy at the start").get_xydata()
    np.testing.assert_allclose(ellipse[:, 1] ** 2 + float(values[1]) * ellipse[:, 0] ** 2, ellipse[45, 1] ** 2, rtol=1e-9)
    assert ax.get_xlabel() == "position q of the mode"
    (ax,) = plots.phase(run.solution.y, modes=2, stiffness=run.field.stiffness).axes
    for k in (1, 2):  # mode 0 of a connected graph does not swing
        assert line(ax, f"mode {k}, eigenvalue {float(values[k]):.4g}") is not None
    with pytest.raises(ValueError, match=r"expected 1 to"):
        plots.phase(run.solution.y, modes=0, stiffness=run.field.stiffness)


# ---- mistakes -------------------------------------------------------------------------------------------------------

MISTAKES = [
    (lambda: plots.filters(-LAMBDA, "euler", 0.1), ValueError, "least eigenvalue is .*give -lambda"),
    (lambda: plots.filters(LAMBDA, "euler", 0.0), ValueError, "positive step size"),
    (lambda: plots.filters(LAMBDA, "eulr", 0.1), ValueError, "euler"),
    (lambda: plots.filters(LAMBDA, "bdf2", 0.1), TypeError, "one-step method"),
    (lambda: plots.filters(LAMBDA, [], 0.1), ValueError, "methods is empty"),
    (lambda: plots.filters([], "rk4", 0.1), ValueError, "expected those of a Laplacian"),
    (lambda: plots.stability("rk4", [], 0.1), ValueError, "field_spectrum"),
    (lambda: plots.stability("rk4", [-1.0], math.inf), ValueError, "positive step size"),
    (lambda: plots.stability("leapfrog", [-1.0], -0.1), ValueError, "positive step size"),
    (lambda: plots.edges(GRID, torch.zeros(30)), ValueError, r"got \(30,\); expected a tensor of shape \(98,\)"),
    (lambda: plots.edges(GRID, torch.zeros(98), node=torch.zeros(29)), ValueError, r"expected \(30,\)"),
    (lambda: plots.edges(GRID, torch.zeros(98), layout="sprng"), ValueError, "spring"),
    (lambda: plots.edges(Graph.from_edges(Graph.path(2500).edge_index), torch.zeros(4998)), ValueError, "give pos"),
    (lambda: plots.bottleneck(BARBELL, bottleneck_map(BARBELL), torch.zeros(12, 2)), ValueError, "one source or one target"),
    (lambda: plots.bottleneck(BARBELL, bottleneck_map(BARBELL), node=12), ValueError, "nodes 0 to 11"),
    (lambda: plots.phase(torch.zeros(9, 30, 2)), ValueError, r"\.solution\.y.*not \.u"),
    (lambda: plots.phase(torch.zeros(9, 2, 30, 1), nodes=[30]), ValueError, r"of 0 \.\.\. 29"),
    (lambda: plots.phase(torch.zeros(9, 2, 30, 1), channel=1), ValueError, "the states have 1"),
    (lambda: plots.phase(torch.zeros(9, 2, 30, 1), modes=[1]), ValueError, "stiffness=sim.field.stiffness"),
    (lambda: bottleneck_map(Graph.from_edges(torch.tensor([[0], [1]]))), GraphError, "undirected|reverse"),
]


@pytest.mark.parametrize(("call", "error", "match"), MISTAKES)
def test_mistakes_say_what_to_do(call, error, match):
    with pytest.raises(error, match=match):
        call()
