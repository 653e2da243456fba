"""Work and precision: errors against an independent reference, costs, refusals as rows, mistakes before anything runs."""

import math

import pytest
import torch
from problems import Nonlinear, heat

from solvers import Run, UnknownName, compare, reference_solution


def test_errors_are_those_against_the_exact_solution():
    field, y0, rate = heat("path", 12, 2)
    exact = y0 * math.exp(-rate * 1.5)
    torch.testing.assert_close(reference_solution(field, y0, 1.5), exact, rtol=1e-12, atol=1e-13)
    result = compare(field, y0, 1.5, [Run("rk4", dt=0.1), Run("rk4", dt=0.05), Run("dopri5", rtol=1e-8), "tsit5"])
    coarse, fine, adaptive, default = result.rows
    assert math.log2(coarse.error / fine.error) == pytest.approx(4, abs=0.3)
    assert (coarse.steps, coarse.evaluations) == (15, 60) and (fine.steps, fine.evaluations) == (30, 120)
    assert adaptive.error < 1e-7 and default.status == "ok" and default.dt is None and default.rtol is None
    best = result.cheapest(below=1e-6)
    assert best is not None and best.error < 1e-6 and result.cheapest(below=1e-20) is None


def test_a_nonlinear_reference():
    field = Nonlinear()
    y0 = field.exact(0.0)
    torch.testing.assert_close(reference_solution(field, y0, [0.0, 1.0]), field.exact(1.0), rtol=1e-9, atol=1e-10)


def test_refusals_and_failures_are_rows(tmp_path):
    field, y0, _ = heat("cycle", 10, 1)
    result = compare(field, y0, 5.0, [Run("euler", dt=0.6), Run("dopri5", rtol=1e-9)], max_steps=3)
    refused, failed = result.rows
    assert refused.status == "refused" and math.isnan(refused.error) and "dt <= 0.5" in refused.note
    assert failed.status == "max_steps" and failed.steps == 3
    assert "refused" in str(result) and "dt <= 0.5" in str(result)
    result.to_csv(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text().splitlines()[0].startswith("method,dt,rtol,error")
    seen = []
    compare(field, y0, 1.0, [Run("rk4", dt=0.1)], each=seen.append)
    assert [row.method for row in seen] == ["rk4"]


def test_mistakes_are_answered_before_anything_runs():
    field, y0, _ = heat("path", 5, 1)
    seen = []
    with pytest.raises(UnknownName, match="dopri5"):
        compare(field, y0, 1.0, [Run("rk4", dt=0.1), "dopri55"], each=seen.append)
    with pytest.raises(TypeError, match="Leapfrog needs"):
        compare(field, y0, 1.0, [Run("rk4", dt=0.1), Run("leapfrog", dt=0.1)], each=seen.append)
    assert seen == []
