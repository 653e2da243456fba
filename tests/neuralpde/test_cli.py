"""The command line: verbs, files, exit codes, configuration files, and the messages of likely mistakes."""

import csv
import json

import numpy as np
import pytest
import torch
import yaml

from neuralpde import Diffusion, Graph, GraphPDE
from neuralpde.cli import main


def run(*arguments):
    return main([str(a) for a in arguments])


def test_solve_writes_what_happened(tmp_path, capsys):
    out = tmp_path / "run"
    assert run("solve", "ring:30", "--pde", "heat", "--t_end", 2, "--saves", 4, "--solver.method", "rk4", "--solver.dt", 0.1,
               "--u0", "node:3", "--out", out) == 0  # fmt: skip
    saved = np.load(out / "solution.npz")
    assert saved["t"].tolist() == [0, 0.5, 1, 1.5, 2] and saved["u"].shape == (5, 30, 1)
    np.testing.assert_allclose(saved["u"].sum(1), 1.0, atol=1e-12)  # heat is conserved
    angle = 2 * torch.pi * torch.arange(30).double() / 30
    exact = torch.cos(torch.outer(torch.arange(30) - 3.0, angle)).double() @ torch.exp(-2.0 * (2 - 2 * torch.cos(angle))) / 30
    np.testing.assert_allclose(saved["u"][-1, :, 0], exact, atol=1e-5)
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "ok" and record["config"]["solver"]["method"] == "rk4"
    assert record["stats"]["evaluations"] == 80 and record["seconds"] > 0 and "torch" in record["versions"]
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert {r["monitor"] for r in rows} == {"Dirichlet energy (D - A)", "Rayleigh quotient (D - A)", "norm"}
    assert str(out) in capsys.readouterr().out.replace("\n", "")


def test_json_is_all_that_is_printed(tmp_path, capsys):
    assert run("solve", "karate", "--t_end", 0.1, "--json", "--quiet", "--out", tmp_path) == 0
    assert json.loads(capsys.readouterr().out)["verb"] == "solve"


def test_configuration_goes_out_and_comes_back(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run("solve", "karate", "--t_end", 0.25, "--solver.method", "tsit5", "--print_config")
    assert stop.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["t_end"] == 0.25 and config["solver"]["method"] == "tsit5"
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert run("solve", "karate", "--config", tmp_path / "c.yaml", "--quiet", "--out", tmp_path / "o") == 0
    assert json.loads((tmp_path / "o" / "run.json").read_text())["config"]["t_end"] == 0.25


def test_a_wave_on_the_sea_takes_areas_and_sponge_from_the_graph(tmp_path):
    assert run("solve", "sea:salish", "--pde", "wave", "--t_end", 120, "--saves", 2, "--solver.method", "leapfrog",
               "--solver.dt", 10, "--monitors", "[hamiltonian]", "--animate", "--quiet", "--out", tmp_path) == 0  # fmt: skip
    assert (tmp_path / "solution.gif").read_bytes()[:3] == b"GIF" and (tmp_path / "final.png").exists()
    values = [float(r["value"]) for r in csv.DictReader((tmp_path / "results.csv").open())]
    assert 0 < values[-1] <= values[0] * 1.01


def test_compare_shows_errors_and_refusals(tmp_path, capsys):
    assert run("compare", "path:40", "--pde", "diffusion", "--t_end", 5, "--methods", "rk4,dopri5,crank_nicolson", "--dts",
               "0.25,1.0", "--tols", "1e-3:1e-5", "--u0", "random", "--out", tmp_path) == 0  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    by = {(r["method"], r["dt"], r["rtol"]): r for r in rows}
    assert len(rows) == 2 + 2 + 3 + 2
    assert by["rk4", "1.0", ""]["status"] == "refused" and "dt <= 0.69" in by["rk4", "1.0", ""]["note"]
    assert float(by["rk4", "0.25", ""]["error"]) < 1e-4
    errors = [float(by["dopri5", "", t]["error"]) for t in ("0.001", "0.0001", "1e-05")]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-4
    assert (tmp_path / "work_precision.png").stat().st_size > 5000
    assert "refused" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["methods", "pdes", "monitors", "datasets", "karate"])
def test_info(what, capsys):
    assert run("info", what) == 0
    text = capsys.readouterr().out
    expected = {
        "methods": "dopri5",
        "pdes": "GraphCON",
        "monitors": "DirichletEnergy",
        "datasets": "sea:salish",
        "karate": "34",
    }
    assert expected[what] in text
    assert run("info", what, "--json") == 0
    assert json.loads(capsys.readouterr().out)


MISTAKES = [
    (["solve", "karat"], 2, ["karate"]),
    (["solve", "karate", "--pde", "diffusoin"], 2, ["diffusion"]),
    (["solve", "karate", "--pde_options", "{conductivty: 2}"], 2, ["conductivity"]),
    (["solve", "karate", "--solver.method", "dopri54"], 2, ["dopri5"]),
    (["solve", "karate", "--u0", "node:99"], 2, ["34 nodes"]),
    (["solve", "karate", "--solver.method", "euler", "--solver.dt", "1.0"], 2, ["unstable", "dt <= "]),
    (["solve", "karate", "--solver.method", "rk4"], 2, ["dt"]),
    (["solve", "karate", "--monitors", "[dirichlet]"], 2, ["dirichlet_energy"]),
    (["solve", "karate", "--t_end", "-1"], 2, ["t_end"]),
    (["compare", "karate", "--methods", "rk4", "--dts", ""], 2, ["--dts"]),
    (["compare", "karate", "--methods", "rk5", "--dts", "0.1"], 2, ["rk4"]),
    (["info", "grid:4"], 2, ["grid:64x64"]),
]


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_mistakes_are_answered_in_one_line(arguments, code, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    for word in words:
        assert word in error


def test_missing_data_has_its_own_code(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NEURALPDE_DATA", str(tmp_path))
    assert main(["solve", "cora", "--out", str(tmp_path / "o")]) == 3
    assert "ind.cora" in capsys.readouterr().err


def test_a_run_that_fails_has_its_own_code(tmp_path, capsys):
    class Exploding(GraphPDE):
        def on(self, graph, u0):
            return lambda t, u: 1e3 * u**3

    from neuralpde import pdes

    original = pdes.__dict__.get("Diffusion", Diffusion)
    try:
        pdes.Diffusion = Exploding
        code = main(["solve", "karate", "--t_end", "10", "--out", str(tmp_path), "--solver.method", "dopri5"])
    finally:
        pdes.Diffusion = original
    assert code == 1 and "t = " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["sovle"], ["solve", "karate", "--solver.dtt", "3"], ["solve"], []])
def test_usage_errors_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "usage" in capsys.readouterr().err


def test_a_graph_from_a_file(tmp_path):
    torch.save(Graph.ring(5).to_data(), tmp_path / "ring.pt")
    assert run("info", tmp_path / "ring.pt") == 0


def test_train_records_every_run_and_resumes(tmp_path, capsys):
    common = ("train", "--data", "karate", "--pde", "diffusion", "--epochs", 12, "--quiet")
    assert run(*common, "--seeds", 2, "--out", tmp_path / "a") == 0
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    assert [r["seed"] for r in record["runs"]] == [0, 1]
    for r in record["runs"]:
        assert {"seed", "split", "val_accuracy", "test_accuracy"} <= r.keys() and 0 <= r["test_accuracy"] <= 1
        assert (tmp_path / "a" / r["checkpoint"]).exists()
    assert record["config"]["epochs"] == 12 and record["versions"]["torch"] and record["seconds"] > 0
    assert (tmp_path / "a" / "training.png").stat().st_size > 5000
    # one seed more: the finished ones are kept, and the new one is what it would have been in one go
    assert run(*common, "--seeds", 3, "--resume", tmp_path / "a") == 0
    assert run(*common, "--seeds", 3, "--out", tmp_path / "b") == 0
    scores = [[r["test_accuracy"] for r in json.loads((tmp_path / d / "run.json").read_text())["runs"]] for d in "ab"]
    assert scores[0] == scores[1] and len(scores[0]) == 3
    assert run(*common[:-3], "--epochs", 13, "--resume", tmp_path / "a") == 2
    assert "epochs=12" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "karat"], ["karate"]),
        (["--pde", "garnd"], ["grand"]),
        (["--resume", "nowhere"], ["nowhere"]),
        (["--optimizer", "adm"], ["adam"]),
        (["--seeds", "0"], ["seeds"]),
    ],
    ids=str,
)
def test_train_answers_mistakes(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "karate", *arguments]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words)
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_compare_runs_exact_flows_and_back_ends_by_their_tolerance(tmp_path):
    assert run("compare", "path:20", "--t_end", 5, "--methods", "chebyshev_exp,scipy:RK45", "--tols", "1e-6", "--u0", "random",
               "--quiet", "--out", tmp_path) == 0  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [r["method"] for r in rows] == ["chebyshev_exp", "scipy:RK45"]
    assert all(r["status"] == "ok" and float(r["error"]) < 1e-4 for r in rows)
