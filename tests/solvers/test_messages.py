"""What is said about likely mistakes: the fields of each message, and that the fix which it names works."""

import pytest
import torch

from solvers import Dopri5, Fixed, IntegrationError, UnknownName, solve

F64 = torch.float64
Y0 = torch.ones(3, 2, dtype=F64)


def decay(t, y):
    return -y


def said(error, *parts):
    text = str(error.value)
    missing = [p for p in parts if p not in text]
    assert not missing, f"{missing} not in: {text}"


def test_integer_state():
    with pytest.raises(ValueError) as e:
        solve(decay, torch.ones(3, dtype=torch.int64), 1.0)
    said(e, "int64", "y0.double()", "y0.float()")
    solve(decay, torch.ones(3, dtype=torch.int64).double(), 1.0)


def test_a_field_of_another_precision():
    w = torch.eye(2, dtype=torch.float32)
    with pytest.raises(ValueError) as e:
        solve(lambda t, y: y.float() @ w, Y0, 1.0)
    said(e, "(3, 2) float32", "(3, 2) float64", "t = 0")
    solve(lambda t, y: y.float() @ w, Y0.float(), 1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_not_finite_at_the_start(bad):
    y0 = Y0.clone()
    y0[2, 1] = bad
    with pytest.raises(ValueError) as e:
        solve(decay, y0, 1.0)
    said(e, "1 non-finite", "node 2", "feature 1")
    solve(decay, y0.nan_to_num(posinf=0.0), 1.0)


@pytest.mark.parametrize("method,dt", [("dopri5", None), ("rk4", 0.01)])
def test_nan_from_the_field_names_time_and_node(method, dt):
    def root(t, y):
        return -torch.ones_like(y) + 0 * torch.sqrt(y)

    y0 = torch.tensor([[3.0], [0.5], [2.0]], dtype=F64)
    with pytest.raises(IntegrationError) as e:
        solve(root, y0, [0.0, 0.25, 1.0], method, dt=dt)
    assert e.value.status == "nonfinite"
    said(e, "not finite", "node 1", "of 1,", "step", "smaller dt")
    stopped = float(e.value.solution.t[-1])
    assert f"t = {stopped:.6g}" in str(e.value)
    assert 0.45 <= stopped <= 0.5
    assert 0.25 in e.value.solution.t.tolist()
    assert bool(torch.isfinite(e.value.solution.y).all())
    solve(lambda t, y: root(t, y.clamp_min(0)), y0, 1.0, method, dt=dt)


def test_tolerance_below_the_precision():
    with pytest.raises(ValueError) as e:
        solve(decay, Y0.float(), 1.0, rtol=1e-12)
    said(e, "rtol = 1e-12", "float32", "1.2e-06", "y0.double()")
    solve(decay, Y0.double(), 1.0, rtol=1e-12)
    solve(decay, Y0.float(), 1.0, rtol=1.2e-6)
    solve(decay, Y0.float(), 1.0)
    with pytest.raises(ValueError, match="negative"):
        solve(decay, Y0, 1.0, atol=-1.0)


def test_time_grids():
    with pytest.raises(ValueError) as e:
        solve(decay, Y0, [0.0, 1.0, 0.5])
    said(e, "1.0 -> 0.5", "index 2", "strictly")
    solve(decay, Y0, sorted([0.0, 1.0, 0.5]))
    for t, part in (([0.0, 0.0], "index 1"), ([0.0], "1 entries"), ([0.0, float("inf")], "finite"), (0.0, "0.0 -> 0.0")):
        with pytest.raises(ValueError, match=part):
            solve(decay, Y0, t)
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        solve(decay, Y0, torch.arange(4.0).view(2, 2))


def test_unknown_method():
    with pytest.raises(UnknownName) as e:
        solve(decay, Y0, 1.0, "dopri54")
    said(e, "'dopri54'", "Did you mean 'dopri5'", "rk4")
    solve(decay, Y0, 1.0, "dopri5")
    for spelling in ("DOPRI5", "Dopri_5", "dopri-5"):
        solve(decay, Y0, 1.0, spelling)


def test_a_class_in_the_place_of_an_instance():
    with pytest.raises(TypeError) as e:
        solve(decay, Y0, 1.0, Dopri5)  # type: ignore[arg-type]
    said(e, "Dopri5 is a class", "Dopri5()")
    solve(decay, Y0, 1.0, Dopri5())
    with pytest.raises(TypeError, match="expected a name"):
        solve(decay, Y0, 1.0, 5)  # type: ignore[arg-type]


def test_misspelt_option():
    with pytest.raises(TypeError, match="step_size"):
        solve(decay, Y0, 1.0, step_size=0.1)  # type: ignore[call-arg]
    with pytest.raises(UnknownName) as e:
        solve(decay, Y0, 1.0, save="finale")
    said(e, "no save 'finale'", "'final'")
    with pytest.raises(UnknownName) as e:
        solve(decay, Y0, 1.0, gradient="adjiont")
    said(e, "'adjoint'")
    with pytest.raises(UnknownName) as e:
        solve(decay, Y0, 1.0, gradient="checkpiont")
    said(e, "'checkpoint'")


def test_step_sizes():
    for dt in (0.0, -0.1):
        with pytest.raises(ValueError, match="positive"):
            solve(decay, Y0, 1.0, dt=dt)
    with pytest.raises(ValueError, match="not both"):
        solve(decay, Y0, 1.0, dt=0.1, controller=Fixed(0.1))
    with pytest.raises(ValueError) as e:
        solve(decay, Y0, 1.0, "rk4")
    said(e, "RK4 has no error estimate", "dt=")
    solve(decay, Y0, 1.0, "rk4", dt=0.1)


def test_shapes():
    with pytest.raises(ValueError) as e:
        solve(lambda t, y: y[:1], Y0, 1.0)
    said(e, "(1, 2)", "(3, 2)", "t = 0")
    with pytest.raises(TypeError, match="expected a callable"):
        solve("decay", Y0, 1.0)  # type: ignore[arg-type]


def test_a_stiff_problem_and_an_explicit_method():
    def stiff(t, y):
        return -1e5 * (y - torch.cos(t))

    with pytest.raises(IntegrationError) as e:
        solve(stiff, Y0, 10.0, max_steps=200)
    assert e.value.status == "max_steps"
    said(e, "of 10", "200 steps", "stability", "sdirk2", "max_steps=")
    assert 0 < float(e.value.solution.t[-1]) < 10
    solve(stiff, Y0, 0.01, max_steps=2000)


def test_a_singularity_stops_the_step_size():
    with pytest.raises(IntegrationError) as e:
        solve(lambda t, y: y * y, Y0, 2.0)
    assert e.value.status in ("dt_min", "nonfinite")
    assert float(e.value.solution.t[-1]) == pytest.approx(1.0, abs=1e-3)


def test_methods_that_need_structure():
    with pytest.raises(TypeError) as e:
        solve(decay, Y0, 1.0, "leapfrog", dt=0.1)
    said(e, "velocity(t, p)", "force(t, q)", "dopri5")
