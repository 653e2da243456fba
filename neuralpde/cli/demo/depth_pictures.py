"""The picture of part 3: energy, Rayleigh quotient, norm and rank, always together."""

from __future__ import annotations

from matplotlib.figure import Figure

from .depth import PANELS, Descent
from .style import COLOURS, LINES, figure, label

_LABELS = {
    "Dirichlet energy": "energy E(X)",
    "Rayleigh quotient": "E(X) / |X|²",
    "norm": "norm |X|",
    "effective rank": "effective rank of X",
}


def depth_picture(runs: list[Descent]) -> Figure:
    """Four panels against depth, all on logarithmic values."""
    drawn = figure(11, 8.4)
    panels = drawn.subplots(2, 2, sharex=True).flat
    for axes, name in zip(panels, PANELS, strict=True):
        for i, run in enumerate(runs):
            values = run.values[name]
            axes.plot(values, color=COLOURS[i], linestyle=LINES[i % len(LINES)], linewidth=1.7, label=run.name)
        axes.set_yscale("log")
        label(axes, name, "layer", _LABELS[name])
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 1e-40), min(high, 1e40))
    ranks = panels[3]
    ticks = [1, 2, 5, 10, 20, 50]
    ranks.set_yticks(ticks, [str(tick) for tick in ticks])
    ranks.minorticks_off()
    drawn.legend(*ranks.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return drawn
