"""Why a solve stopped, in words: what, where, and what to do."""

from __future__ import annotations

import torch
from torch import Tensor

CAUSE = {
    "nonfinite": "the field or the new state is not finite",
    "nonlinear": "the nonlinear solve did not converge",
    "linear": "the linear solve did not converge",
    "dt_min": "the step size fell to rounding without meeting the tolerance",
    "max_steps": "the allowed number of steps was not enough",
}
ADVICE = {
    "nonfinite": "Check the field for a division or a root at this state, or take a smaller dt or an implicit method.",
    "nonlinear": "Take a smaller dt, or a rtol that the field's precision can show.",
    "linear": "Take a smaller dt, a preconditioner, or another linear_solver.",
    "dt_min": "The problem may be stiff, or singular there: try an implicit method (sdirk2, trbdf2) or larger tolerances.",
    "max_steps": "If dt is set by stability and not by accuracy, take an implicit method (sdirk2, trbdf2); else max_steps=.",
}


def first_bad(y: Tensor) -> str:
    """Where the first non-finite entry of a state is (empty if there is none)."""
    bad = (~torch.isfinite(y)).nonzero()
    if len(bad) == 0:
        return ""
    index = tuple(int(i) for i in bad[0])
    return f"; first non-finite entry at index {index}" + (f" (node {index[-2]})" if len(index) >= 2 else "")
