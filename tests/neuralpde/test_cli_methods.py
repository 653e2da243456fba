"""Every method solves from the command line: those whose steps can be watched, exact flows, and other libraries' methods."""

import csv
import json
import shlex

import numpy as np
import pytest
import torch

from neuralpde import Monitor, Norm
from neuralpde.cli import main
from neuralpde.cli.options import Solve, SolverOptions
from neuralpde.cli.problem import make_problem
from neuralpde.cli.progress import Bar
from neuralpde.cli.solve import integrate, shows_steps
from solvers import available, method_named

EXACT_FLOWS = {"chebyshev_exp", "krylov_exp", "uniformization"}
DT = {"torchdiffeq:explicit_adams": 0.001}  # of order 12, it is stable for next to no step


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def problems():
    """Heat on a path for any field or a linear one, and a wave for positions and momenta, each with its exact solution."""
    found = {}
    for name in ("diffusion", "wave"):
        p = make_problem("path:6", name, {}, "node:2", 0, "float64", "cpu")
        index = torch.arange(6)
        adjacency = ((index[:, None] - index).abs() == 1).double()
        values, vectors = torch.linalg.eigh(torch.diag(adjacency.sum(1)) - adjacency)
        by_mode = torch.exp(-values) if name == "diffusion" else values.clamp_min(0).sqrt().cos()
        found[name] = p, vectors @ (by_mode[:, None] * (vectors.T @ p.u0))
    return found


@pytest.mark.parametrize("name", [*available(), *available("scipy"), *available("torchdiffeq")])
def test_every_method_solves_with_a_bar_and_a_monitor(name, problems, capsys):
    method = method_named(name)
    p, exact = problems["wave" if method.needs == "partitioned" else "diffusion"]
    dt = None if method.adaptive or name in EXACT_FLOWS else DT.get(name, 0.02)
    options = Solve("path:6", saves=2, solver=SolverOptions(name, dt=dt, rtol=None if dt else 1e-4))
    watched = shows_steps(p, options.solver, options.t_end)
    assert watched == (":" not in name and name not in EXACT_FLOWS)
    norm = Monitor(Norm(), None if watched else 0.5)
    with Bar("solving", 0.0, 1.0, times=None if watched else [1.0]) as bar:
        result = integrate(p, options, [norm], bar)
    torch.testing.assert_close(result.u[-1], exact, rtol=0, atol=0.02 if method.order == 1 or "euler" in name else 5e-3)
    assert result.t.tolist() == [0, 0.5, 1]
    assert norm.t[0] == 0 and norm.t[-1] == 1 and (len(norm.t) > 3 if watched and dt else len(norm.t) >= 3)
    torch.testing.assert_close(norm.values[-1], result.u[-1].norm().unsqueeze(0))
    assert (result.stats.products if name in EXACT_FLOWS else result.stats.evaluations + result.stats.products) > 0
    assert "100 %" in capsys.readouterr().err


def test_an_exact_flow_with_steps_of_its_own_is_watched(problems):
    p, _ = problems["diffusion"]
    assert not shows_steps(p, SolverOptions("auto"), 1.0)  # heat is linear: its flow is exact
    assert shows_steps(p, SolverOptions("krylov_exp", dt=0.25), 1.0)
    assert shows_steps(problems["wave"][0], SolverOptions("auto", dt=0.1), 1.0)


@pytest.mark.parametrize("method", ["scipy:Radau", "torchdiffeq:dopri5", "auto"])
def test_solve_leaves_the_same_files_for_every_method(method, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ("solve", "ring:12", "--t_end", 2, "--saves", 4, "--u0", "node:3", "--pde_options", "{conductivity: 0.5}")
    assert run(*arguments, "--solver.method", method, "--out", out) == 0
    assert "solving: 100 % t = 2" in capsys.readouterr().err
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "ok"
    assert set(record["stats"]) == {"steps", "accepted", "rejected", "evaluations", "products", "linear_iterations"}
    assert record["stats"]["products" if method == "auto" else "evaluations"] > 5
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert [float(r["t"]) for r in rows if r["monitor"] == "norm"] == [0, 0.5, 1, 1.5, 2]
    np.testing.assert_allclose(np.load(out / "solution.npz")["u"].sum(1), 1.0, atol=1e-6)
    page = (out / "report.html").read_text()
    assert record["method"].replace("'", "&#x27;") in page and "Rayleigh quotient" in page and page.count("<img") == 2
    command = page.split("<pre><code>")[1].split("</code>")[0].replace("&#x27;", "'")
    again = [*shlex.split(command)[1:], "--quiet", "--out", str(tmp_path / "again")]  # the page's own command repeats the run
    assert main(again) == 0
    np.testing.assert_array_equal(*(np.load(d / "solution.npz")["u"] for d in (out, tmp_path / "again")))


def test_info_lists_the_methods_of_other_libraries(capsys):
    assert run("info", "methods", "--json") == 0
    rows = {r["name"]: r for r in json.loads(capsys.readouterr().out)["methods"]}
    assert rows["scipy:Radau"]["kind"] == "another library's" and rows["torchdiffeq:rk4"]["step"] == "fixed"
    assert rows["dopri5"]["order"] == 5


def test_a_misspelt_method_of_another_library_is_answered(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("solve", "karate", "--solver.method", "scipy:Radu") == 2
    assert "scipy:Radau" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert run("solve", "karate", "--solver.method", "scipy:Radau", "--solver.dt", 0.1) == 2
    assert "rtol=" in capsys.readouterr().err
