"""Trained models from their checkpoints: in time, layer by layer, by depth; wrong files; and the page that shows them."""

import os
import re
from dataclasses import replace

import pytest
import torch

from neuralpde import GCN, GRAND, CheckpointError, Diffusion, FitConfig, Graph, NodeClassifier, PDEBlock, diagnose, fit, save
from neuralpde.cli import main
from neuralpde.cli.diagnose_options import Diagnose
from neuralpde.cli.diagnose_subject import subject_of
from neuralpde.datasets import karate

DATA = karate()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A trained GRAND and trained GCNs of three depths."""
    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(0)
    model = NodeClassifier(34, 4, pde=GRAND(8), t=3.0, method="rk4", dt=0.5)
    fit(model, DATA, config=FitConfig(epochs=3, checkpoint=str(folder / "grand.pt")))
    for depth in (4, 6, 9):
        gcn = GCN(34, 4, 8, depth, 0.0)
        fit(gcn, DATA, config=FitConfig(epochs=2, checkpoint=str(folder / f"gcn{depth}.pt")))
    (folder / "notes.txt").write_text("not a checkpoint")
    torch.save({"a": 1}, folder / "other.pt")
    save(torch.nn.Linear(3, 3), folder / "weights.pt")
    return folder


def test_a_model_of_an_equation_runs_in_time_from_its_encoder(files):
    found = diagnose(files / "grand.pt", DATA)
    assert found.kind == "in time"
    assert found.subject == "NodeClassifier of GRAND, trained, on 34 nodes"
    assert (found.t[0], found.t[-1]) == (0, 3)
    assert found.t.tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])  # the steps that the model takes
    from neuralpde import load

    model = load(files / "grand.pt")
    with torch.no_grad():
        way = model.at(DATA, [0.0, 3.0])
    assert found.series["energy"][0] == pytest.approx(float(way.energies[0]), rel=1e-6)
    assert found.series["energy"][-1] == pytest.approx(float(way.energies[-1]), rel=1e-6)
    longer = diagnose(str(files / "grand.pt"), DATA, t=30.0)
    assert longer.t[-1] == 30
    assert diagnose(model, DATA).subject == "NodeClassifier of GRAND on 34 nodes"


def test_a_block_runs_from_the_features_themselves():
    graph, x = Graph.ring(12), torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    found = diagnose(PDEBlock(Diffusion(), 6.0, "rk4", dt=0.1), graph, u0=x.double())
    assert found.subject == "PDEBlock of Diffusion on 12 nodes" and len(found.t) == 61
    assert found.theory.rate == pytest.approx(-2 * (2 - 3**0.5))


def test_networks_layer_by_layer_and_by_depth(files):
    one = diagnose(files / "gcn9.pt", DATA)
    assert one.kind == "layerwise" and one.subject == "GCN (GCNConv), trained, on 34 nodes"
    assert one.t.tolist() == list(range(1, 9))  # the last layer is narrower
    several = diagnose({depth: files / f"gcn{depth}.pt" for depth in (9, 4, 6)}, DATA)
    assert several.kind == "depth-trained" and several.t.tolist() == [4, 6, 9]
    assert several.series["energy"][-1] == pytest.approx(one.series["energy"][-1])
    assert several.normalization == "sym_loops"


def test_wrong_files_are_named(files):
    other = Graph.ring(34).with_node(x=torch.randn(34, 5))
    for model, graph, error, match in [
        (files / "absent.pt", DATA, FileNotFoundError, r"absent.pt' does not exist; .*grand.pt"),
        (files, DATA, FileNotFoundError, "is a folder; expected a checkpoint file"),
        (files / "notes.txt", DATA, CheckpointError, "no file of torch.save"),
        (files / "other.pt", DATA, CheckpointError, "not written by neuralpde.save"),
        (files / "weights.pt", DATA, CheckpointError, "cannot be rebuilt"),
        (files / "grand.pt", other, ValueError, "5 features per node, NodeClassifier was made for 34"),
        (files / "gcn4.pt", other, ValueError, "5 features per node, GCN was made for 34"),
        ({4: files / "gcn4.pt"}, DATA, ValueError, "expected at least two"),
        ({4: files / "gcn4.pt", 6: 3}, DATA, TypeError, "depth 6 is a int"),
        ({4: files / "gcn4.pt", 6: files / "grand.pt"}, DATA, TypeError, "diagnose it alone"),
    ]:
        with pytest.raises(error, match=match):
            diagnose(model, graph)
    with pytest.raises(ValueError, match="depths given twice"):
        diagnose({4: files / "gcn4.pt", 6: files / "gcn6.pt"}, DATA, depths=[4, 6])
    with pytest.raises(ValueError, match="x is float64"):
        diagnose(files / "grand.pt", DATA, u0=DATA.x.double())


def figures(folder):
    """The page, and how many pictures it holds."""
    page = (folder / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)  # nothing is loaded from elsewhere
    return page, page.count("<img ")


HEADINGS = ["Verdict", "Which frequencies survive", "What a step does to them", "Where the graph squeezes", "What to do"]


def test_the_page_of_a_checkpoint(files, tmp_path):
    command = ["diagnose", "karate", "--checkpoint", str(files / "grand.pt"), "--out", str(tmp_path), "--quiet"]
    assert main(command) == 0
    page, count = figures(tmp_path)
    assert count == 4 and "could not be drawn" not in page
    assert "trained, on 34 nodes" in page and "--checkpoint" in page
    assert [page.index(f">{heading}</h2>") for heading in HEADINGS] == sorted(page.index(f">{one}</h2>") for one in HEADINGS)


@pytest.mark.skipif(not os.environ.get("NEURALPDE_DATA"), reason="CiteSeer: NEURALPDE_DATA is not set")
def test_a_checkpoint_is_looked_at_on_the_part_that_it_was_trained_on(tmp_path, capsys):
    train = [
        "train",
        "--data",
        "citeseer",
        "--pde",
        "diffusion",
        "--component",
        "largest",
        "--epochs",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert main([*train, "--quiet"]) == 0
    options = Diagnose("CiteSeer", checkpoint=str(tmp_path / "checkpoint-seed0.pt"))
    assert subject_of(options).graph.num_nodes == 2120
    assert subject_of(replace(options, component="all")).graph.num_nodes == 3327
    assert main(["diagnose", "citeseer", "--checkpoint", options.checkpoint, "--component", "lagest"]) == 2
    assert "largest" in capsys.readouterr().err
    (tmp_path / "run.json").unlink()
    assert subject_of(options).graph.num_nodes == 3327


def test_the_page_of_trained_depths(files, tmp_path):
    several = ",".join(str(files / f"gcn{depth}.pt") for depth in (4, 6, 9))
    assert main(["diagnose", "karate", "--checkpoint", several, "--out", str(tmp_path), "--quiet"]) == 0
    page, count = figures(tmp_path)
    assert count == 4 and "could not be drawn" not in page
    assert "each trained" in page and "aggregation of one layer" in page and "ringed node" in page


def test_the_page_of_an_equation_and_of_networks(tmp_path):
    assert main(["diagnose", "grid:6x6", "--pde", "heat", "--u0", "random:2", "--out", str(tmp_path), "--quiet"]) == 0
    page, count = figures(tmp_path)
    assert count == 4 and "what heat leaves" in page and "explicit Euler is a graph convolution" in page
    assert "Neighbours become alike" in page and "neighbours become alike (Rayleigh quotient x" in page
    for pde, shown in (("wave", "slowest modes that swing"), ("graphcon", "of three nodes")):
        assert main(["diagnose", "grid:5x5", "--pde", pde, "--u0", "random:4", "--out", str(tmp_path), "--quiet"]) == 0
        page, count = figures(tmp_path)
        assert count == 5 and "How it swings" in page and shown in page and "could not be drawn" not in page
    gat = ["diagnose", "karate", "--model", "gat", "--u0", "random:4", "--depths", "2,4", "--out", str(tmp_path), "--quiet"]
    assert main(gat) == 0
    page, count = figures(tmp_path)
    assert count == 3 and "The step could not be drawn: layers of GATConv" in page


def test_wrong_use_of_the_verb(files, capsys):
    for extra, match in [
        (["--checkpoint", str(files / "absent.pt")], "does not exist"),
        (["--checkpoint", str(files / "notes.txt")], "cannot be read as a checkpoint"),
        (["--checkpoint", str(files / "grand.pt"), "--model", "gcn"], "or --checkpoint, a trained one"),
        (["--checkpoint", str(files / "grand.pt"), "--depths", "2,4"], "have theirs"),
        (["--checkpoint", f"{files / 'gcn4.pt'},{files / 'gcn4.pt'}"], "equally many convolutions"),
        (["--component", "largest"], "is for trained models"),
    ]:
        assert main(["diagnose", "karate", *extra, "--out", str(files / "out"), "--quiet"]) == 2
        assert match in capsys.readouterr().err
