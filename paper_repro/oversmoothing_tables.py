"""The study of depth as tables in Markdown and as a picture."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

Record = dict[str, Any]
_SHOWN = {"Rayleigh quotient": (1e-10, 1e3), "norm": (1e-8, 1e12), "effective rank": (0.9, 1e3)}  # the table has the rest

_TOP = """# Which networks oversmooth, by depth

Made by `python paper_repro/oversmoothing.py`; do not edit. The verdicts are `neuralpde.diagnose`'s.

* Random weights: networks of PyG's convolutions as initialised by PyG, GraphCON with a weight per layer and dt = gamma = 1,
  GRAND and heat for a time equal to the depth (rk4, steps of 1). A shallower network is the first layers of the deeper one.
  Of networks the last convolution's output is read, before its activation.
* 10 x 10 grid: 16 channels, uniform in [0, 1]. Cora: largest component (2485 nodes), 32 channels, a random projection of the
  bags of words and ReLU. float64. Seeds draw features and weights.
* Scale is the norm, shape the Rayleigh quotient, rank the effective rank above one: decaying or growing where the change over
  the depths exceeds 10x and the 95 % interval of the slope excludes 0, stationary below 2x, else inconclusive.
* Rate: slope of log E per layer, E the Dirichlet energy (with self-loops for GCN, GCNII, GraphCON-GCN; else D - A): median over
  seeds [least, greatest]. Theory: the slowest mode of the operator (exact once the others are gone: see the table of linear
  dynamics) or Cai and Wang's bound, which counts the norm of the weights.
"""


def markdown(result: dict[str, list[Record]]) -> str:
    """All tables."""
    parts = [_TOP]
    for graph in _unique(row["graph"] for row in result["untrained"]):
        rows = [row for row in result["untrained"] if row["graph"] == graph]
        parts += [f"## {graph}: verdicts\n", _verdicts(rows), f"## {graph}: Rayleigh quotient, norm, effective rank\n"]
        parts += [_values(rows)]
    parts += ["## Linear dynamics, until only the slowest mode is left\n", _linear(result["linear"])]
    if result["trained"]:
        seeds = len({row["seed"] for row in result["trained"]})
        parts += ["## Cora, trained\n", _TRAINED.format(seeds="one seed" if seeds == 1 else f"medians over {seeds} seeds")]
        parts += [_accuracies(result["trained"])]
    return "\n".join(parts)


_TRAINED = """Encoder, layers of width 32, decoder; the public split on the largest component; Adam, rate 0.01, weight decay
5e-4, dropout 1/2 before encoder and decoder, no search for settings; the epoch that validates best. A step of one (Euler for
GRAND, symplectic Euler for GraphCON) is a layer. Verdicts over the three depths; {seeds}.
"""


def _verdicts(rows: Sequence[Record]) -> str:
    lines = ["| model | verdict (seeds) | scale | shape | rank | rate | theory | measured against theory |", "|" + " --- |" * 8]
    for model in _unique(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        words = [_most(mine, key) for key in ("verdict", "scale", "shape", "rank")]
        lines.append(f"| {model} | {' | '.join(words)} | {_rates(mine)} | {_theory(mine)} | {_against(mine)} |")
    return "\n".join(lines) + "\n"


def _values(rows: Sequence[Record]) -> str:
    depths = rows[0]["depths"]
    lines = [f"| model | {' | '.join(f'{d} layers' for d in depths)} |", "|" + " --- |" * (len(depths) + 1)]
    for model in _unique(row["model"] for row in rows):
        mine = [row["values"] for row in rows if row["model"] == model]
        medians = [np.median([one[key] for one in mine], axis=0) for key in ("Rayleigh quotient", "norm", "effective rank")]
        cells = [f"{_short(r)}, {_short(n)}, {k:.1f}" for r, n, k in zip(*medians, strict=True)]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _linear(rows: Sequence[Record]) -> str:
    lines = ["| graph | dynamics | rate | theory | difference | asked | |", "|" + " --- |" * 7]
    for row in rows:
        rate, theory, tolerance = row["rate"], row["theory"]["rate"], row["tolerance"]
        still = abs(theory) < 1e-12
        off = abs(rate) if still else abs(rate / theory - 1)
        shown, asked = (f"{off:.2g}", f"{tolerance:.2g}") if still else (f"{100 * off:.2g} %", f"{100 * tolerance:g} %")
        lines.append(
            f"| {row['graph']} | {row['model']} | {rate:+.5g} | {theory:+.5g} | {shown} | {asked} | "
            f"{'met' if off <= tolerance else '**missed**'} |"
        )
    return "\n".join(lines) + "\n"


def _accuracies(rows: Sequence[Record]) -> str:
    depths = rows[0]["depths"]
    lines = [
        f"| model | {' | '.join(f'{d} layers' for d in depths)} | verdict (seeds) | scale | shape | rank |",
        "|" + " --- |" * (len(depths) + 5),
    ]
    for model in _unique(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        accuracy = 100 * np.median([row["accuracy"] for row in mine], axis=0)
        rayleigh, rank = (
            np.median([row["values"][key] for row in mine], axis=0) for key in ("Rayleigh quotient", "effective rank")
        )
        cells = [f"{a:.1f} %, {_short(r)}, {k:.1f}" for a, r, k in zip(accuracy, rayleigh, rank, strict=True)]
        words = [_most(mine, key) for key in ("verdict", "scale", "shape", "rank")]
        lines.append(f"| {model} | {' | '.join((*cells, *words))} |")
    return "Cells: test accuracy, Rayleigh quotient, effective rank.\n\n" + "\n".join(lines) + "\n"


def _most(rows: Sequence[Record], key: str) -> str:
    """The commonest word, and how many of the seeds have it where not all do."""
    ((word, count),) = Counter(str(row[key]) for row in rows).most_common(1)
    return (word or "-") + ("" if count == len(rows) else f" ({count} of {len(rows)})")


def _rates(rows: Sequence[Record]) -> str:
    rates = np.array([row["rate"] for row in rows if row["rate"] is not None and not math.isnan(row["rate"])])
    if not len(rates):
        return "-"
    middle, low, high = np.median(rates), rates.min(), rates.max()
    return f"{middle:+.3g}" + (f" [{low:+.3g}, {high:+.3g}]" if len(rows) > 1 and high - low > 1e-3 * abs(middle) else "")


def _theory(rows: Sequence[Record]) -> str:
    kinds = {row["theory"]["kind"] for row in rows}
    if kinds == {"none"}:
        return "none"
    rates = np.array([row["theory"]["rate"] for row in rows])
    return f"{'at most ' if kinds == {'bound'} else ''}{np.median(rates):+.3g}"


def _against(rows: Sequence[Record]) -> str:
    theory = rows[0]["theory"]
    pairs = [(row["rate"], row["theory"]["rate"]) for row in rows if row["rate"] is not None and not math.isnan(row["rate"])]
    if theory["kind"] == "none" or not pairs:
        return "-"
    if theory["kind"] == "bound":
        within = sum(a <= b + 1e-9 for a, b in pairs)
        return "within the bound" if within == len(pairs) else f"within the bound in {within} of {len(pairs)}"
    if abs(theory["rate"]) < 1e-10:
        return f"{np.median([a for a, _ in pairs]):+.2g} from it"
    ratio = float(np.median([a / b for a, b in pairs]))
    return f"{ratio:.2g} times" if ratio > 2 else f"{100 * (ratio - 1):+.2g} %"


def picture(rows: Sequence[Record]) -> Figure:
    """Rayleigh quotient, norm and effective rank against depth; medians over seeds, bands from least to greatest."""
    graphs, quantities = _unique(row["graph"] for row in rows), ("Rayleigh quotient", "norm", "effective rank")
    models = _unique(row["model"] for row in rows)
    figure = Figure(figsize=(13, 1.2 + 3.9 * len(graphs)), layout="constrained")
    axes = figure.subplots(len(graphs), 3, squeeze=False)
    for line, graph in zip(axes, graphs, strict=True):
        for ax, key in zip(line, quantities, strict=True):
            for index, model in enumerate(models):
                mine = [row for row in rows if (row["graph"], row["model"]) == (graph, model)]
                values = np.array([row["values"][key] for row in mine])
                style = {"color": f"C{index % 8}", "linestyle": ("-", "--")[index // 8], "marker": ("o", "s")[index // 8]}
                ax.plot(mine[0]["depths"], np.median(values, axis=0), label=model, markersize=3, linewidth=1.3, **style)
                ax.fill_between(mine[0]["depths"], values.min(0), values.max(0), color=style["color"], alpha=0.1, linewidth=0)
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            low, high = ax.get_ylim()
            least, most = _SHOWN[key]
            ax.set_ylim(max(low, least), min(high, most))
            cut = f" ({least:g} to {most:g})" if key != "effective rank" and (low < least or high > most) else ""
            if key == "effective rank":
                ax.set_yticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
                ax.minorticks_off()
            ax.set_xticks(mine[0]["depths"], [str(d) for d in mine[0]["depths"]])
            ax.set_title(f"{graph}: {key}{cut}", fontsize=10)
            ax.grid(alpha=0.25)
            ax.set_xlabel("layers (time, for equations)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, frameon=False)
    return figure


def _short(x: float) -> str:
    return f"{x:.2g}"


def _unique(words: Any) -> list[str]:
    return list(dict.fromkeys(words))
