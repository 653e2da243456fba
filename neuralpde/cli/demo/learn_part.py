"""Part 4 as it is told, and its picture."""

from __future__ import annotations

from dataclasses import asdict
from statistics import mean, stdev

from matplotlib.figure import Figure

from ..output import RunFolder
from .learn import Fitted, LearnSetup, learn, paired, summary
from .part import Note, Part, Picture, Rows, Tick
from .style import COLOURS, figure, label, save


def learned(folder: RunFolder, tick: Tick, setup: LearnSetup | None = None) -> Part:
    """Run part 4 and write its files."""
    setup = setup or LearnSetup()
    fitted = learn(setup, tick)
    save(accuracy_picture(fitted), folder.file("learn.png"))
    folder.write_csv("learn.csv", [asdict(f) for f in fitted])
    tick(1.0, "done")
    rows = summary(fitted)
    facts = {"setup": asdict(setup), "summary": rows, "runs": [{**asdict(f), "split": f"seed {f.seed}"} for f in fitted]}
    return Part("learn", "Equations that learn", _blocks(setup, fitted, rows), facts, _COMMANDS)


_COMMANDS = (
    ("train longer, deeper, elsewhere", "neuralpde train --data digits --pde graphcon --seeds 5"),
    (
        "on Cora, from raw files that you have",
        "NEURALPDE_DATA=/path/to/data neuralpde train --data cora --pde grand",
    ),
)


def accuracy_picture(fitted: list[Fitted]) -> Figure:
    """Test accuracy by model: a dot per split, the same splits joined, mean and standard deviation beside them."""
    drawn = figure(7.2, 4.4)
    axes = drawn.add_subplot()
    names = list(dict.fromkeys(f.model for f in fitted))
    for seed in sorted({f.seed for f in fitted}):
        own = [100 * f.test_accuracy for f in fitted if f.seed == seed]
        axes.plot(range(len(own)), own, color="#bbbbbb", linewidth=0.8, zorder=1)
    for i, name in enumerate(names):
        own = [100 * f.test_accuracy for f in fitted if f.model == name]
        axes.scatter([i] * len(own), own, s=26, color=COLOURS[i], zorder=2)
        spread = stdev(own) if len(own) > 1 else 0.0
        axes.errorbar(i + 0.18, mean(own), spread, fmt="_", color=COLOURS[i], markersize=14, capsize=4)
        axes.annotate(f"{mean(own):.1f}", (i + 0.3, mean(own)), va="center", fontsize=10)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.4, len(names) - 0.2)
    label(axes, "test accuracy, a dot per split; beside it mean and standard deviation", "", "test accuracy (%)")
    return drawn


def _blocks(setup: LearnSetup, fitted: list[Fitted], rows: list[dict[str, object]]) -> list[str | Note | Picture | Rows]:
    columns = {
        "model": "model",
        "parameters": "parameters",
        "mean": "mean (%)",
        "spread": "standard deviation",
        "least": "least (%)",
        "largest": "largest (%)",
        "seconds": "seconds a fit",
    }
    formats = {k: "{:.2f}" for k in ("mean", "spread", "least", "largest", "seconds")}
    return [
        f"Which digit is it? {setup.labels_per_class} labelled images of each of the ten, 30 more of each to choose the epoch, "
        f"the other 1,297 to test; {setup.seeds} seeds, each with its own split and weights, the same for all models. The "
        f"MLP sees pixels only; GCN (two layers), GRAND (u' = alpha (A(u0) - I) u, time 4, RK4 with dt = 2) and GraphCON "
        "(X'' = relu(A X W) - X - X'/2, time 4, symplectic Euler with dt = 0.5) also see the 8 nearest neighbours. "
        f"Width {setup.hidden}, {setup.epochs} epochs of Adam, one setting for all, not tuned for any.",
        Picture("learn.png", f"Test accuracy over {setup.seeds} splits; grey lines join the same split."),
        Rows(f"Test accuracy, mean and spread over {setup.seeds} seeds.", rows, columns, formats),
        Note(" ".join(_finding(fitted, name) for name in ("GCN", "GRAND", "GraphCON")) + " " + _rivals(fitted)),
    ]


def _finding(fitted: list[Fitted], name: str) -> str:
    gap, spread = paired(fitted, name, "MLP")
    return f"{name} against the MLP: {gap:+.1f} ± {spread:.1f} points (paired by split)."


def _rivals(fitted: list[Fitted]) -> str:
    found = []
    for name in ("GRAND", "GraphCON"):
        gap, spread = paired(fitted, name, "GCN")
        word = "no more than the spread between splits" if abs(gap) <= spread else "more than the spread between splits"
        found.append(f"{name} and GCN differ by {gap:+.1f} ± {spread:.1f} points, {word}")
    return "; ".join(found) + "."
