"""torchdiffeq's method names and options in terms of integrators and controllers.

An option that no method has is refused by name, and so is a grid for a method that chooses its own steps. An option of
another method's is left out with a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .controllers import Controller, Fixed, Integral
from .grid import Grid, OnGrid
from .integrators.back_end import BackEnd
from .integrators.base import Integrator
from .integrators.scipy_methods import ScipyMethod
from .lookup import available, method_named
from .odeint_errors import OdeintValueError
from .resolve import unknown

ALIASES = {
    "adaptive_heun": "heun",
    "heun2": "heun",
    "rk4": "rk438",
    "explicit_adams": "ab4",
    "implicit_adams": "abm4",
    "fixed_adams": "abm4",
    "trapezoid": "crank_nicolson",
    "gl4": "gauss4",
    "gl6": "gauss6",
}
ON_GRID = {"euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams", "fixed_adams"}
GRID_IF_GIVEN = {"sdirk2", "trbdf2", "radauiia3", "radauiia5"}  # with a grid there; here also with steps of their own choice
ADAMS = ("explicit_adams", "implicit_adams", "fixed_adams")
GRID_OPTIONS = ("step_size", "grid_constructor", "interp", "perturb", "norm")
ADAPTIVE_OPTIONS = ("first_step", "min_step", "max_step", "max_num_steps", "norm", "safety", "ifactor", "dfactor")
ADAPTIVE_OPTIONS += ("dtype", "step_t", "jump_t")
SCIPY_OPTIONS = ("solver", "min_step", "max_step", "norm")
OLD_OPTIONS = ("max_iters", "implicit", "grid_points", "eps")  # that torchdiffeq has or had, and that mean nothing here
STEPS = 1_000_000  # steps between two outputs, where max_num_steps is not given


@dataclass(frozen=True, eq=False)
class Way:
    """How `odeint` solves: the integrator, its step sizes, and where it has to stop.

    Args:
        method: the integrator.
        options: the checked options.
        on_grid: whether it takes the steps of a grid.
    """

    method: Integrator
    options: Mapping[str, Any] = field(default_factory=dict)
    on_grid: bool = False

    @property
    def max_steps(self) -> int:
        return int(self.options.get("max_num_steps", STEPS))

    def breaks(self, start: float, end: float) -> list[tuple[float, bool]]:
        """Times inside the interval at which a step has to end, and whether the field jumps there.

        Raises:
            ValueError: for a time that is listed twice.
        """
        found: dict[float, bool] = {}
        lo, hi = min(start, end), max(start, end)
        for name in ("step_t", "jump_t"):
            given = self.options.get(name)
            for t in [] if given is None else torch.as_tensor(given, dtype=torch.float64).reshape(-1).tolist():
                if t in found:
                    raise ValueError(f"step_t and jump_t have t = {t} twice; every time may appear once")
                if lo < t < hi:
                    found[t] = name == "jump_t"
        return sorted(found.items(), reverse=end < start)

    def control(self, times: Sequence[float], func: Any = None, y0: Any = None, like: Tensor | None = None) -> Controller:
        """The controller for a solve over these times.

        Args:
            times: output times.
            func, y0: what a grid constructor is called with.
            like: the tensor of times that the user gave (a grid is made in its dtype).
        """
        o = self.options
        if not self.on_grid:
            first = o.get("first_step")
            return Integral(
                safety=float(o.get("safety", 0.9)),
                grow=float(o.get("ifactor", 10.0)),
                shrink=float(o.get("dfactor", 0.2)),
                first_dt=None if first is None else float(first),
                min_dt=float(o.get("min_step", 0.0)),
                max_dt=float(o.get("max_step", float("inf"))),
            )
        if times[-1] in (float("inf"), float("-inf")):
            if "step_size" not in o:
                raise OdeintValueError(
                    f"an event with {self.method.name} needs options={{'step_size': ...}}: there is no grid else"
                )
            return Fixed(float(o["step_size"]))
        dtype = torch.float64 if like is None else like.dtype
        grid = torch.tensor(times, dtype=dtype)
        if "step_size" in o:
            grid = _regular(times, float(o["step_size"]))
        elif "grid_constructor" in o:
            grid = _constructed(o["grid_constructor"], func, y0, grid if like is None else like.detach())
        return Grid.of([times[0], *grid.double().tolist()[1:-1], times[-1]], torch.finfo(dtype).eps)


def way(method: str | Integrator | None, options: Mapping[str, Any] | None) -> Way:
    """The way that a method and its options name.

    Raises:
        UnknownName: for a method or an option that does not exist, with the nearest ones.
        ValueError: for a value that an option cannot have.
    """
    given = {k: v for k, v in (options or {}).items() if v is not None}
    name = "dopri5" if method is None else method
    if isinstance(name, Integrator):
        integrator, text = name, name.name
    elif isinstance(name, str):
        integrator, text = _named(name, given), name
    else:
        integrator, text = method_named(name), ""
    if isinstance(integrator, BackEnd):
        return _by_back_end(integrator, text, given)
    on_grid = name in ON_GRID or not integrator.adaptive or (_plain(text) in GRID_IF_GIVEN and _has_grid(given))
    known = GRID_OPTIONS if on_grid else ADAPTIVE_OPTIONS
    if name in ADAMS:
        known = (*known, "max_order")
    given = _only(given, text, known)
    _check_values(given)
    if on_grid:
        integrator = OnGrid(integrator, given.get("interp") == "cubic", bool(given.get("perturb")))
    return Way(integrator, given, on_grid)


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _has_grid(given: Mapping[str, Any]) -> bool:
    return "step_size" in given or "grid_constructor" in given


def _only(given: Mapping[str, Any], text: str, known: Sequence[str]) -> dict[str, Any]:
    """The options that the method has; a warning names those that only other methods have."""
    others = {*GRID_OPTIONS, *ADAPTIVE_OPTIONS, *SCIPY_OPTIONS, *OLD_OPTIONS, "max_order"} - {
        *known,
        "step_size",
        "grid_constructor",
    }
    for key in given:
        if key not in known and key not in others:
            raise unknown(f"option of {text}", key, known)
    unused = sorted(set(given) & others)
    if unused:
        warnings.warn(f"{text} has no use for the options {', '.join(unused)}; they are left out", stacklevel=5)
    return {key: value for key, value in given.items() if key in known}


def _by_back_end(method: BackEnd, text: str, given: Mapping[str, Any]) -> Way:
    """The way by a method of another library, which chooses its own steps unless they are fixed."""
    if not isinstance(method, ScipyMethod):
        return Way(method, _only(given, text, () if method.adaptive else ("step_size",)))
    ignored = {key for key in ("norm", "grid_points", "eps") if key in given}  # by torchdiffeq too
    found = _only({k: v for k, v in given.items() if k not in ignored}, text, ("solver", "min_step", "max_step"))
    smallest, largest = float(found.get("min_step", 0.0)), float(found.get("max_step", float("inf")))
    if smallest and method.solver != "LSODA":
        warnings.warn(f"{method.name} has no smallest step; min_step is left out", stacklevel=5)
    return Way(replace(method, min_step=smallest, max_step=largest))


def _named(name: str, given: Mapping[str, Any]) -> Integrator:
    if name == "scipy_solver":
        solver, known = given.get("solver", "LSODA"), [n.partition(":")[2] for n in available("scipy")]
        if solver not in known:
            raise unknown("solver of scipy", str(solver), known)
        return ScipyMethod(solver)
    if ":" in name:
        return method_named(name)
    target = ALIASES.get(name, name)
    if name.endswith("_adams") and "max_order" in given:
        if given["max_order"] not in (2, 3, 4, 5):
            raise ValueError(f"max_order = {given['max_order']}; {name} has orders 2, 3, 4 and 5 (higher ones lose stability)")
        target = f"{target[:-1]}{given['max_order']}"
    if target == name and _plain(name) not in {_plain(n) for n in available()}:
        raise unknown("method", name, {*available(), *ALIASES, "scipy_solver"})
    return method_named(target)


def _check_values(given: Mapping[str, Any]) -> None:
    if "step_size" in given and "grid_constructor" in given:
        raise ValueError("step_size and grid_constructor both say what the grid is; give one of them")
    if "step_size" in given and not float(given["step_size"]) > 0:
        raise ValueError(f"step_size = {given['step_size']}; it must be positive (the direction follows from t)")
    if given.get("interp", "linear") not in ("linear", "cubic"):
        raise unknown("interp", str(given["interp"]), ("linear", "cubic"))
    if given.get("dtype", torch.float64) != torch.float64:
        raise ValueError(f"dtype = {given['dtype']}; times are always kept in torch.float64, leave this option out")
    if "norm" in given and not callable(given["norm"]):
        raise TypeError(f"norm is a {type(given['norm']).__name__}; expected a function of the state")


def _regular(times: Sequence[float], size: float) -> Tensor:
    start, end = times[0], times[-1]
    count = int(-(-(abs(end - start) / size + 1) // 1))
    sign = 1.0 if end > start else -1.0
    return torch.tensor([start + sign * size * k for k in range(count - 1)] + [end], dtype=torch.float64)


def _constructed(make: Callable[..., Tensor], func: Any, y0: Any, t: Tensor) -> Tensor:
    grid = make(func, y0, t)
    if grid.dim() != 1 or len(grid) < 2 or grid[0] != t[0] or grid[-1] != t[-1]:
        raise OdeintValueError(
            f"grid_constructor returned a grid of shape {tuple(grid.shape)}; expected one dimension, from {float(t[0])} "
            f"to {float(t[-1])}"
        )
    return grid.detach()
