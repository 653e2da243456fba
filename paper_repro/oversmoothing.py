"""Which networks and equations oversmooth, by depth: verdicts and rates against theory on the 10 x 10 grid and on Cora.

python paper_repro/oversmoothing.py                 # about ten minutes of one core; OVERSMOOTHING.md has the tables
python paper_repro/oversmoothing.py --part cora     # of grid, cora, trained: joins what stands in the folder already
python paper_repro/oversmoothing.py --quick         # seconds: the grid, to 8 layers
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from oversmoothing_models import EQUATIONS, NETWORKS, TRAINED, classifier
from oversmoothing_runs import SHOWN, Record, to_the_end, told, trained, untrained
from oversmoothing_tables import markdown, picture

from neuralpde import Graph, as_graph, diagnose
from neuralpde.datasets import load
from neuralpde.diagnosis import spectral_gap

DEPTHS, QUICK = (2, 4, 8, 16, 32, 64, 128), (2, 4, 8)
TRAINED_DEPTHS = (2, 8, 32)
WIDTH, HIDDEN = 16, 32
PARTS = ("grid", "cora", "trained")


def grid_features(seed: int) -> torch.Tensor:
    """Uniform in [0, 1], as in the GraphCON paper's figure, `[100, 16]`."""
    return torch.rand(100, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cora_features(x: torch.Tensor, seed: int) -> torch.Tensor:
    """A random projection of the bags of words, made positive as a first layer with ReLU does, `[nodes, 32]`."""
    draw = torch.randn(x.shape[1], HIDDEN, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x.double() @ draw / x.double().sum(1, keepdim=True).clamp(min=1).sqrt()).relu()


def by_depth(
    title: str, graph: Graph, features: Callable[[int], torch.Tensor], depths: Sequence[int], seeds: int
) -> list[Record]:
    """Every model from every seed, with random weights."""
    rows: list[Record] = []
    for name in (*NETWORKS, *EQUATIONS):
        start = time.monotonic()
        for seed in range(seeds):
            rows.append({"graph": title} | untrained(name, graph, features(seed), depths, seed))
        words = sorted({str(row["verdict"]) for row in rows[-seeds:]})
        say(f"{title}, {name}: {'; '.join(words)} ({time.monotonic() - start:.0f} s)")
    return rows


def linear(title: str, graph: Graph, x: torch.Tensor, spans: float) -> list[Record]:
    """Linear dynamics until the slowest mode is left, against theory."""
    rows: list[Record] = []
    for name, tolerance, found in to_the_end(graph, x, spectral_gap(graph), spans):
        rows.append({"graph": title, "model": name, "tolerance": tolerance} | told(found))
        say(f"{title}, {name}: {found.rate:+.5g}, theory {found.theory.rate:+.5g}")
    return rows


def on_labels(depths: Sequence[int], epochs: int, seeds: int, names: Sequence[str]) -> list[Record]:
    """Classifiers of Cora's nodes, trained at some depths: their last hidden features, and their accuracy."""
    data = load("cora", component="largest")
    masks = {part: data[f"{part}_mask"] for part in ("train", "val", "test")}
    x = data.x / data.x.sum(1, keepdim=True).clamp(min=1)
    rows: list[Record] = []
    for name in names:
        for seed in range(seeds):
            start = time.monotonic()
            accuracy: list[float] = []
            fitted = trained(classifier(name, x.shape[1], HIDDEN, 7, seed), x, data.edge_index, data.y, masks, epochs)

            def make(depth: int, fitted=fitted, accuracy=accuracy) -> torch.nn.Module:
                model = fitted(depth)
                accuracy.append(model.test)  # type: ignore[arg-type]
                return model

            found = diagnose(make, data, depths, u0=x, trained=True)
            values = {key: found.series[key].tolist() for key in SHOWN}
            row: Record = {"graph": "Cora", "model": name, "seed": seed, "depths": list(depths), "values": values}
            rows.append(row | told(found) | {"accuracy": accuracy})
            shown = ", ".join(f"{100 * one:.1f}" for one in accuracy)
            say(f"Cora, {name}, trained: {shown} %; {found.verdict.meaning} ({time.monotonic() - start:.0f} s)")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Verdicts by depth, on the 10 x 10 grid and on Cora.")
    parser.add_argument("--quick", action="store_true", help="the grid only, one seed, to 8 layers")
    parser.add_argument("--part", action="append", choices=PARTS, help=f"{', '.join(PARTS)}; repeatable (default: all)")
    parser.add_argument("--seeds", type=int, default=3, help="draws of features and weights (default: 3)")
    parser.add_argument("--trained-seeds", type=int, default=1, help="of training (default: 1)")
    parser.add_argument("--epochs", type=int, default=100, help="of training (default: 100)")
    parser.add_argument("--out", type=Path, default=Path("out/oversmoothing"), help="folder (default: out/oversmoothing)")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    parts = ("grid",) if given.quick else tuple(given.part or PARTS)
    if not os.environ.get("NEURALPDE_DATA") and parts != ("grid",):
        say("Cora is left out: NEURALPDE_DATA names no folder")
        parts = tuple(part for part in parts if part == "grid")
    result = read(given.out)
    for part in parts:
        if part == "trained":
            keep(result, "trained", on_labels(TRAINED_DEPTHS, given.epochs, given.trained_seeds, TRAINED), given.out)
            continue
        title, graph, features = place(part)
        depths, seeds, spans = (QUICK, 1, 3.0) if given.quick else (DEPTHS, given.seeds, 10.0)
        keep(result, "untrained", by_depth(title, graph, features, depths, seeds), given.out)
        keep(result, "linear", linear(title, graph, features(0), spans), given.out)
    say(f"wrote {given.out}/results.md, .json and .png")
    return 0


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def place(part: str) -> tuple[str, Graph, Callable[[int], torch.Tensor]]:
    """A graph, its title, and its features from a seed."""
    if part == "grid":
        return "10 x 10 grid", Graph.grid(10, 10), grid_features
    data = load("cora", component="largest")
    return "Cora", as_graph(data), lambda seed: cora_features(data.x, seed)


def keep(result: dict[str, list[Record]], section: str, rows: list[Record], out: Path) -> None:
    """Put rows in the place of earlier ones of the same graph, and write."""
    again = {row["graph"] for row in rows}
    result[section] = [row for row in result[section] if row["graph"] not in again] + rows
    write(result, out)


def read(out: Path) -> dict[str, list[Record]]:
    """What earlier parts left in a folder; None is a number that was not finite."""
    found: dict[str, list[Record]] = {"untrained": [], "linear": [], "trained": []}
    return found | json.loads((out / "results.json").read_text()) if (out / "results.json").exists() else found


def write(result: dict[str, list[Record]], out: Path) -> None:
    """`results.json`, `results.md` and `results.png` in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(_plain(result), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (out / "results.md").write_text(markdown(result), encoding="utf-8")
    if result["untrained"]:
        picture(result["untrained"]).savefig(out / "results.png", dpi=130, bbox_inches="tight")


def _plain(value: object) -> object:
    """With null for what is not finite, which JSON has no word for."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
