"""Part 3 as it is told."""

from __future__ import annotations

from ..output import RunFolder
from .depth import PANELS, DepthSetup, Descent, descend
from .depth_pictures import depth_picture
from .part import Note, Part, Picture, Rows, Tick
from .style import save


def depth(folder: RunFolder, tick: Tick, setup: DepthSetup | None = None) -> Part:
    """Run part 3 and write its files."""
    setup = setup or DepthSetup()
    runs = descend(setup, tick)
    save(depth_picture(runs), folder.file("depth.png"))
    layers = range(setup.layers + 1)
    folder.write_csv(
        "depth.csv",
        [{"network": r.name, "layer": k, **{name: float(r.values[name][k]) for name in PANELS}} for r in runs for k in layers],
    )
    tick(1.0, "done")
    facts = {"layers": setup.layers, "width": setup.width, "networks": [r.record() for r in runs]}
    return Part("depth", "What depth does to features", _blocks(setup, runs), facts, _COMMANDS)


_COMMANDS = (
    (
        "energies of any equation on any graph, recorded while it runs",
        "neuralpde solve digits --pde diffusion --pde_options '{normalization: rw}' --u0 features --t_end 64 "
        "--monitors '[dirichlet_energy, rayleigh_quotient, norm, effective_rank]'",
    ),
)


def _blocks(setup: DepthSetup, runs: list[Descent]) -> list[str | Note | Picture | Rows]:
    records = [_told(r) for r in runs]
    columns = {
        "network": "network",
        "energy": "energy E",
        "rayleigh": "shape E / |X|²",
        "norm": "scale |X|",
        "rank": "effective rank",
        "verdict": "verdict",
    }
    return [
        f"Features of 1,797 handwritten digits (8 nearest neighbours, {setup.width} channels) pass through {setup.layers} "
        f"layers of networks that were never trained: every layer has new random (Glorot) weights, seed {setup.seed}, and "
        "ReLU. One draw, so read the trends and not the digits. GraphCON is X'' = relu(F(X)) - X - alpha X' by symplectic "
        "Euler, one step a layer, F a graph convolution (GCN) or attention (GAT); diffusion is implicit Euler with dt = 1.",
        "Energy alone misleads: it falls when features shrink and when they become alike. So energy, Rayleigh quotient "
        "(energy / norm², free of scale), norm and effective rank (how many directions the features still span) are "
        "shown together. Each energy is taken with the Laplacian whose kernel the network's own operator keeps: with self-"
        "loops, symmetric, for the convolutions; row-stochastic for attention and diffusion.",
        Picture("depth.png", "Four quantities against depth, logarithmic. Layer 0 is the input, the same for all."),
        Rows(
            f"From the input to layer {setup.layers}, and the verdict on scale (norm) and shape (E / |X|²).", records, columns
        ),
        *(Note(text) for text in _findings(setup, runs)),
        "A verdict says decaying or growing only for a change of more than a factor of ten, and stationary for less than a "
        "factor of two all the way; anything between or swinging is inconclusive. With dt = 0.1 the "
        f"{setup.layers} layers are only a time of {0.1 * setup.layers:g}, {0.1 * setup.layers / 6.2832:.1f} periods of a "
        "lone oscillator, so these have been damped and mixed far less than those with dt = 1. "
        "With alpha = gamma = dt = 1, GraphCON's published default, a step is exactly a GCN layer: no curve of its own.",
    ]


def _told(run: Descent) -> dict[str, object]:
    def change(panel: str, digits: int = 2) -> str:
        first, last = float(run.values[panel][0]), float(run.values[panel][-1])
        return f"{first:.{digits}g} → {last:.{digits}g}"

    found = run.verdict
    return {
        "network": run.name,
        "energy": change("Dirichlet energy"),
        "rayleigh": f"{change('Rayleigh quotient')}, {found.shape.word}",
        "norm": f"{change('norm')}, {found.scale.word}",
        "rank": change("effective rank", 3),
        "verdict": found.meaning,
    }


def _findings(setup: DepthSetup, runs: list[Descent]) -> list[str]:
    """One sentence for the run that an energy plot alone would call cured: undamped oscillators with steps of 1."""
    words = []
    for r in runs:
        energy, shape = r.values["Dirichlet energy"], r.values["Rayleigh quotient"]
        if float(energy[-1]) > 10 * float(energy[0]) and float(shape[-1]) < float(shape[0]) / 2:
            rank = r.values["effective rank"]
            words.append(
                f"{r.name}: its energy grows by a factor of {float(energy[-1] / energy[0]):.2g}, and yet E / |X|² falls from "
                f"{float(shape[0]):.3f} to {float(shape[-1]):.4f} and the rank from {float(rank[0]):.1f} to "
                f"{float(rank[-1]):.1f}. An energy plot alone would call that cured; it is {r.verdict.meaning}."
            )
    return words
