"""Rates against theory on the 10 x 10 grid, scale and shape apart, and what networks of PyG's show."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from neuralpde import Diffusion, Graph, GraphCON, Wave, diagnose, plots
from neuralpde.cli import main
from neuralpde.diagnose_fit import fit_rate
from neuralpde.monitors import verdict

GRID = Graph.grid(10, 10)
GAP, NORMALISED_GAP, LOOPED_GAP = 0.097886967410, 0.028598008320, 0.022146668638  # of the three Laplacians
X = torch.rand(100, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Stack(nn.Module):
    """Graph convolutions of one width, with or without relu."""

    def __init__(self, layers: int, width: int = 4, identity: bool = False, activation: nn.Module | None = None):
        super().__init__()
        from torch_geometric.nn import GCNConv

        self.convs = nn.ModuleList(GCNConv(width, width, bias=False) for _ in range(layers))
        self.activation = activation or nn.Identity()
        for conv in self.convs if identity else []:
            nn.init.eye_(conv.lin.weight)  # type: ignore[union-attr]
        self.double()

    def forward(self, x, edge_index):
        for conv in self.convs:
            x = self.activation(conv(x, edge_index))
        return x


@pytest.mark.parametrize(("normalization", "gap"), [("none", GAP), ("sym", NORMALISED_GAP), ("rw", NORMALISED_GAP)])
def test_heat_decays_at_twice_the_spectral_gap(normalization, gap):
    found = diagnose(Diffusion(normalization=normalization), GRID, t=10 / gap, u0=X)
    assert found.rate == pytest.approx(-2 * gap, rel=0.01)
    assert found.theory.kind == "exact"
    assert found.theory.rate == pytest.approx(-2 * gap, rel=1e-9)
    assert found.interval[0] <= found.rate <= found.interval[1]
    assert found.verdict.meaning == "oversmoothing"
    assert found.kind == "in time"
    assert not found.notes


def test_linear_layers_decay_at_the_second_eigenvalue():
    found = diagnose(Stack(400, identity=True), GRID, u0=X)
    assert found.kind == "layerwise"
    assert found.theory.kind == "exact"
    assert found.theory.rate == pytest.approx(2 * math.log(1 - LOOPED_GAP), rel=1e-9)
    assert found.rate == pytest.approx(found.theory.rate, rel=0.01)
    assert found.verdict.meaning == "oversmoothing"


@pytest.mark.parametrize("damping", [0.2, 1.0])
def test_damped_waves_decay_as_their_modes(damping):
    theory = -2 * (damping / 2 - math.sqrt(max(damping**2 / 4 - GAP, 0)))
    found = diagnose(Wave(damping=damping), GRID, t=100.0, u0=X)
    assert found.theory.rate == pytest.approx(theory, rel=1e-9)
    assert found.rate == pytest.approx(theory, rel=0.02)
    assert found.verdict.shape.word == "decaying"


@pytest.mark.parametrize("activation", ["relu", None])
def test_damped_oscillators_of_a_network_decay_as_their_modes(activation):
    theory = -2 * (0.25 - math.sqrt(0.0625 - LOOPED_GAP))
    pde = GraphCON(4, alpha=0.5, bias=False, activation=activation, initial_velocity="zero").double()
    with torch.no_grad():
        nn.init.eye_(pde.weight)  # type: ignore[arg-type]
    found = diagnose(pde, GRID, t=150.0, u0=X)
    assert found.rate == pytest.approx(theory, rel=0.02)
    assert found.theory.kind == ("none" if activation else "exact")
    assert activation or found.theory.rate == pytest.approx(theory, rel=1e-8)


def test_undamped_waves_neither_decay_nor_grow():
    found = diagnose(Wave(), GRID, t=60.0, u0=X)
    assert abs(found.rate) < 1e-3 * math.sqrt(GAP)
    assert found.theory.rate == 0
    assert found.verdict.meaning == "steady"


def test_a_nonlinear_network_stays_below_its_bound():
    torch.manual_seed(0)
    found = diagnose(Stack(24, 32, activation=nn.ReLU()), GRID, u0=torch.rand(100, 32, dtype=torch.float64))
    assert found.theory.kind == "bound"
    assert found.rate <= found.theory.rate
    assert found.comparison == "within the bound"


def test_a_growing_energy_is_no_cure():
    """GraphCON undamped at dt = 1: the energy grows by far while the shape smooths and the rank collapses."""
    torch.manual_seed(0)
    pde = GraphCON(16, alpha=0.0, gamma=1.0, bias=False).double()
    x = torch.randn(100, 16, dtype=torch.float64)
    found = diagnose(pde, GRID, t=100.0, u0=x, method="symplectic_euler", dt=1.0)
    energy, rayleigh = found.series["energy"], found.series["Rayleigh quotient"]
    assert energy[-1] > 1e6 * energy[0]
    assert rayleigh[-1] < rayleigh[0] / 10
    assert found.series["effective rank"][-1] < found.series["effective rank"][0] / 4
    assert found.verdict.meaning == "exploding and oversmoothing"
    assert "no cure" in found.recommendation
    assert found.rate > 0


def test_the_energy_of_another_laplacian_is_named():
    found = diagnose(Diffusion(normalization="sym"), GRID, t=200.0, u0=X, energy="none")
    assert "theirs is 'sym'" in found.warnings[0]
    assert found.theory.kind == "none"
    assert abs(found.rate) < 1e-3 * 2 * NORMALISED_GAP  # it stalls, as the matched one does not


@pytest.mark.parametrize("name", ["GCN", "GAT", "GraphSAGE", "GIN"])
def test_networks_by_depth(name):
    from torch_geometric import nn as pyg

    torch.manual_seed(0)
    x = torch.rand(100, 16)
    found = diagnose(lambda depth: getattr(pyg, name)(16, 16, depth), GRID, [2, 4, 8, 16], u0=x)
    assert found.kind == "depth-untrained"
    assert found.t.tolist() == [2, 4, 8, 16]
    assert len(found.records()) == 4
    assert "depth" in str(found)
    assert np.isfinite(found.series["energy"]).all()


def test_the_fit_ends_where_rounding_begins():
    t = np.linspace(0, 100, 101)
    fit = fit_rate(t, np.exp(-t) + 1e-15, np.full(101, 1e-13))
    assert fit.rate == pytest.approx(-1, rel=1e-2)
    assert fit.window[1] < 30
    assert "rounding takes over" in fit.note
    bent = fit_rate(t, np.exp(-0.01 * t) + 100 * np.exp(-0.1 * t), np.zeros(101))
    assert "still changes" in bent.note
    assert "overflow" in fit_rate(t, np.where(t > 50, np.inf, np.exp(t)), np.zeros(101)).note
    assert math.isnan(fit_rate(t, 0 * t, np.zeros(101)).rate)


def test_features_that_die_fade():
    """Whatever the slope before: ReLUs without bias lose every positive entry in one layer."""
    t, norm = [1, 2, 3, 4, 5, 6, 7, 8], [1.0, 1.2, 0.9, 1.1, 1.0, 0.0, 0.0, 0.0]
    found = verdict(t, [0.5 * n * n for n in norm], norm)
    assert found.scale.word == "decaying" and found.scale.change < 1e-300
    assert "all features are 0 from t = 6 on" in str(found)
    assert "0 from" not in str(verdict(t[:5], norm[:5], norm[:5]))


def test_a_collapsing_rank_is_said_where_the_shape_is_kept():
    """Columns that turn into copies of one rough vector: the Rayleigh quotient does not show it."""
    rough = torch.tensor([1.0, -1.0] * 50, dtype=torch.float64).unsqueeze(1)
    series = [rough + math.exp(-0.2 * t) * X for t in range(60)]
    energy = [float((x.reshape(10, 10, 4).diff(dim=1) ** 2).sum()) for x in series]
    rank = [1 + math.exp(-0.2 * t) for t in range(60)]
    found = verdict(list(range(60)), energy, [float((x**2).sum().sqrt()) for x in series], rank)
    assert found.meaning == "steady, rank collapsing"


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="positive final time"):
        diagnose(Diffusion(), GRID, u0=X)
    with pytest.raises(ValueError, match="give u0"):
        diagnose(Diffusion(), GRID, t=1.0)
    with pytest.raises(TypeError, match="made already"):
        diagnose(Stack(2), GRID, [2, 4], u0=X)
    with pytest.raises(ValueError, match="increasing"):
        diagnose(Stack, GRID, [4, 2], u0=X)
    with pytest.raises(ValueError, match="one graph at a time"):
        diagnose(Diffusion(), GRID.repeat(2), t=1.0, u0=X.repeat(2, 1))
    with pytest.raises(ValueError, match="no two layers of equal width"):
        diagnose(Stack(1), GRID, u0=X)


def test_a_run_that_ends_too_early_for_theory_says_when_it_would_not():
    u0 = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = diagnose(Diffusion(), Graph.path(40), t=5.0, u0=u0)
    assert found.comparison.endswith("times what theory says") and found.rate < 2 * found.theory.rate
    [said] = [note for note in found.notes if "slowest mode" in note]
    settled = float(said.split("about ")[1].split(";")[0])
    assert settled == pytest.approx(20 / abs(found.theory.rate), rel=0.05) and "ends at 5" in said
    later = diagnose(Diffusion(), Graph.path(40), t=settled, u0=u0)
    assert later.rate == pytest.approx(found.theory.rate, rel=0.01)
    assert not any("slowest mode" in note for note in later.notes)


def test_the_figure_shows_fit_and_theory():
    figure = plots.diagnosis(diagnose(Diffusion(), GRID, t=20.0, u0=X))
    labels = [str(label) for label in figure.axes[0].get_legend_handles_labels()[1]]
    assert any(label.startswith("fit: ") for label in labels)
    assert any(label.startswith("theory: -0.1958") for label in labels)


def test_the_verb_writes_a_page(tmp_path):
    assert main(["diagnose", "grid:6x6", "--pde", "heat", "--t_end", "10", "--out", str(tmp_path), "--quiet"]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "Neighbours become alike" in page
    assert "neuralpde diagnose grid:6x6 --pde heat" in page
    assert {"run.json", "results.csv", "diagnosis.png"} <= {path.name for path in tmp_path.iterdir()}
