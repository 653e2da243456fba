"""What `diagnose` found, as an object: series, rate, theory, verdict and advice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .diagnose_fit import Array, Fit
from .diagnose_theory import Theory
from .monitors import Verdict

_SHAPE_ADVICE = {
    "decaying": (
        "Neighbours become alike: the features turn towards what the operator leaves unchanged. Stop earlier, take fewer "
        "layers, or change the dynamics: a source or initial-value term (GRAND's source, GCNII), oscillators (GraphCON, "
        "Wave), or residual and normalised layers."
    ),
    "growing": (
        "High frequencies win: neighbours become less alike. That helps where neighbours differ in class, and is noise "
        "otherwise; if it is not wanted, take a smaller step or a smoothing operator."
    ),
    "stationary": "The shape of the features is kept: there is no oversmoothing here.",
}
_SCALE_ADVICE = {
    "decaying": (
        "The features shrink, which alone lowers the energy and is not oversmoothing: rescale them (a norm, an "
        "initialisation of larger gain) before judging by the energy."
    ),
    "growing": (
        "The features blow up: take a smaller step, add damping, or bound the weights. A large energy is no cure of "
        "oversmoothing where the shape decays or the rank collapses."
    ),
    "stationary": "",
}
_SETTLED = 20.0
"""|rate| t after which linear dynamics had the rate of their slowest mode, to 0.03 %, on Cora and on a grid."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The report of `diagnose`.

    Attributes:
        subject: what was diagnosed, in words.
        kind: "in time", "layerwise" (the layers of one network), "depth-untrained" or "depth-trained" (networks of several
            depths).
        t: times, layers or depths, `[records]`.
        series: name -> values `[records]`: energy, norm, Rayleigh quotient, energy over variance, effective rank, ...
        measured: the name of the series that the rate is of.
        floor: of that series: what is below is rounding, `[records]`.
        fit: the fitted rate, its interval and window.
        theory: the rate that theory predicts, or why there is none.
        verdict: trends of scale and shape, and what they mean.
        warnings: what could mislead, the energy of another operator above all.
        normalization: of the energy and of the Rayleigh quotient.
    """

    subject: str
    kind: str
    t: Array
    series: Mapping[str, Array]
    measured: str
    floor: Array
    fit: Fit
    theory: Theory
    verdict: Verdict
    warnings: tuple[str, ...] = field(default=())
    normalization: str = "none"

    @property
    def rate(self) -> float:
        """The fitted slope of log(energy), per unit of time, per layer, or per unit of depth."""
        return self.fit.rate

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `rate`."""
        return self.fit.interval

    @property
    def axis(self) -> str:
        """What t counts: "time", "layer" or "depth"."""
        return {"in time": "time", "layerwise": "layer"}.get(self.kind, "depth")

    @property
    def unit(self) -> str:
        """What the rate is per."""
        return {"time": "unit of time", "depth": "layer of depth"}.get(self.axis, self.axis)

    @property
    def comparison(self) -> str:
        """The fitted rate against theory, in words."""
        theory, rate = self.theory, self.rate
        if theory.kind == "none" or math.isnan(rate):
            return ""
        if theory.kind == "bound":
            return "within the bound" if rate <= theory.rate + 1e-9 else "above the bound"
        if abs(theory.rate) < 1e-12:
            return f"{rate:+.2g} from theory"
        ratio = rate / theory.rate
        if ratio > 2:
            return f"{ratio:.3g} times what theory says"
        off = 100 * (ratio - 1)
        return f"{abs(off):.2g} % {'more' if off > 0 else 'less'} than theory"

    @property
    def recommendation(self) -> str:
        """What to do, in a few sentences."""
        scale, shape, rank = self.verdict.scale.word, self.verdict.shape.word, self.verdict.rank
        said = [text for text in (_SCALE_ADVICE.get(scale, ""), _SHAPE_ADVICE.get(shape, "")) if text]
        if shape != "decaying" and rank is not None and rank.word == "decaying":
            said.append("The rank collapses: the channels become copies of one another, which the energy does not show.")
        if shape in ("decaying", "growing") and self.verdict.shape.stopped:
            said.append("The shape changed early and no longer does.")
        if "inconclusive" in (scale, shape):
            unsure = " and ".join(name for name, word in (("scale", scale), ("shape", shape)) if word == "inconclusive")
            said.append(
                f"What happens to {unsure} is neither a trend nor its absence: look further ({self.axis} beyond "
                f"{self.t[-1]:.4g}) or at the figure."
            )
        return " ".join(said)

    def table(self) -> list[dict[str, object]]:
        """The findings, a row each: `{"what", "value", "note"}`."""
        fit, low, high = self.fit, *self.interval
        rows: list[dict[str, object]] = [
            {"what": "verdict", "value": self.verdict.meaning, "note": ""},
            {"what": "scale (norm)", "value": str(self.verdict.scale), "note": ""},
            {"what": "shape (Rayleigh quotient)", "value": str(self.verdict.shape), "note": ""},
        ]
        if self.verdict.rank is not None:
            rows.append({"what": "effective rank above 1", "value": str(self.verdict.rank), "note": ""})
        per = f"of log {self.measured}, per {self.unit}"
        value = "could not be fitted" if math.isnan(fit.rate) else f"{fit.rate:+.4g} [{low:+.4g}, {high:+.4g}]"
        more: list[dict[str, object]] = [
            {"what": "rate", "value": value, "note": per},
            {"what": "rate by theory", "value": str(self.theory), "note": self.comparison},
            {
                "what": "fitted on",
                "value": f"{self.axis} {fit.window[0]:.4g} to {fit.window[1]:.4g}",
                "note": f"{fit.points} records, R^2 = {fit.r2:.4f}",
            },
        ]
        return [*rows, *more]

    def records(self) -> list[dict[str, float]]:
        """The series, a row per time, layer or depth."""
        names = list(self.series)
        return [{self.axis: float(at), **{name: float(self.series[name][i]) for name in names}} for i, at in enumerate(self.t)]

    def __str__(self) -> str:
        rows = self.table()
        width = max(len(str(row["what"])) for row in rows)
        lines = [f"{self.subject} ({self.kind})"]
        for row in rows:
            note = f"  ({row['note']})" if row["note"] else ""
            lines.append(f"  {row['what']!s:<{width}}  {row['value']}{note}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join([*lines, f"  {self.recommendation}"])

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings, and what limits the fit and the verdict."""
        return tuple(one for one in (*self.warnings, self.fit.note, self._too_early, self.verdict.note) if one)

    @property
    def _too_early(self) -> str:
        """Where the fitted rate is not yet that of the slowest mode, of which theory speaks: when it will be."""
        settled = _SETTLED / abs(self.theory.rate) if self.theory.kind == "exact" and self.theory.rate < 0 else 0.0
        if settled <= self.t[-1] or not self.rate < 2 * self.theory.rate:
            return ""
        return (
            f"theory speaks of the slowest mode, which is left alone after a {self.axis} of about {settled:.2g}; "
            f"this run ends at {self.t[-1]:.4g}"
        )
