"""How often the host reads a number from the device, which on a GPU is a wait: counted, not timed."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import solvers.loop as loop
from solvers import IntegrationError, solve


class Looks(TorchDispatchMode):
    """Counts the reads of a number by the host."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def decay(t, y):
    return -y


def looks(method: str, **options) -> tuple[int, int]:
    with Looks() as counter:
        steps = solve(decay, torch.ones(4, 3), [0.0, 1.0, 2.0], method, **options).stats.steps
    return counter.count, steps


def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "looks_are_cheap", lambda y: False)


@pytest.mark.parametrize("method", ["euler", "rk4", "ab4", "rkl2"])
def test_fixed_steps_on_a_gpu_look_once(method: str, monkeypatch: pytest.MonkeyPatch):
    as_on_a_gpu(monkeypatch)
    few, many = looks(method, dt=0.01), looks(method, dt=0.002)
    assert many[1] == 5 * few[1] == 1000
    assert many[0] == few[0] <= 2


def test_fixed_steps_capture_without_a_look(monkeypatch: pytest.MonkeyPatch):
    as_on_a_gpu(monkeypatch)
    monkeypatch.setattr(loop, "host_may_look", lambda y: False)
    assert looks("rk4", dt=0.002, stability_check=False)[0] <= 1


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "bosh3", "dopri8"])
def test_an_adaptive_step_looks_once(method: str):
    count, steps = looks(method, rtol=1e-5)
    assert count <= steps + 5


def test_a_late_look_names_the_same_step(monkeypatch: pytest.MonkeyPatch):
    def breaks(t, y):
        return torch.where(torch.as_tensor(t > 0.7, dtype=torch.bool), torch.nan, 1.0) * y

    def failure() -> tuple[str, torch.Tensor, int]:
        with pytest.raises(IntegrationError) as caught:
            solve(breaks, torch.ones(2, 1, dtype=torch.float64), [0.0, 0.5, 4.0], "rk4", dt=0.01)
        partial = caught.value.solution
        assert partial is not None
        return str(caught.value), partial.t, partial.stats.accepted

    early = failure()
    as_on_a_gpu(monkeypatch)
    late = failure()
    assert early[0] == late[0] and early[2] == late[2]
    torch.testing.assert_close(early[1], late[1])
    assert "t = 0.69" in early[0] or "t = 0.7 " in early[0]
