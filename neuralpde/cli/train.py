"""`neuralpde train`: an equation learned as a layer, over several seeds; stopped runs go on where they were."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import datasets
from ..errors import CheckpointError
from ..graph import as_graph
from ..plots import training as draw_training
from ..training import Epoch, FitConfig, History, Preset, evaluate, fit, preset
from .options import Train
from .output import RunFolder
from .progress import Counter

if TYPE_CHECKING:
    from torch_geometric.data import Data

_FIT = ("epochs", "lr", "weight_decay", "optimizer", "patience", "horizon")
_MODEL = ("hidden", "t", "layers", "input_dropout", "dropout")
_FREE_ON_RESUME = {"seeds", "quiet", "json", "resume", "out", "config"}


def run(options: Train) -> int:
    settings = _settings(options)
    _data(options, options.first_seed)  # a name that does not exist is answered before anything is written
    done: list[dict[str, Any]] = []
    if options.resume:
        options = replace(options, out=options.resume)
        done = _finished(Path(options.resume), options)
    if options.seeds < 1:
        raise ValueError(f"seeds = {options.seeds}; expected at least 1")
    folder = RunFolder(Path(options.out), "train", options, options.quiet)
    folder.say(f"{options.pde} on {options.data}: {options.seeds} seeds, {settings.config.epochs} epochs each")
    histories: dict[str, History] = {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        if any(r["seed"] == seed for r in done):
            folder.say(f"seed {seed}: done before")
            continue
        row, histories[f"seed {seed}"] = _one(options, settings, seed, folder)
        done.append(row)
        folder.keep("running", runs=done, preset=_plain(settings))
    return _finish(folder, options, settings, done, histories)


def _settings(options: Train) -> Preset:
    """The preset for this data and model, with what the user changed."""
    found = preset(options.data, options.pde)
    for name in ("hidden", "layers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value}; expected at least 1")
    changed = {k: v for k in _MODEL if (v := getattr(options, k)) is not None}
    if options.solver.method != "auto":
        changed["method"] = options.solver.method
    if options.solver.dt is not None:
        changed["dt"] = options.solver.dt
    elif options.solver.rtol is not None:
        raise ValueError("train takes fixed steps, or the tolerances of its preset: give --solver.dt, or --solver.method alone")
    config = replace(found.config, **{k: v for k in _FIT if (v := getattr(options, k)) is not None})
    config = replace(config, regularisation={**config.regularisation, **options.regularisation})
    return replace(found, config=config, arguments={**found.arguments, **options.pde_options}, **changed)


def _one(options: Train, settings: Preset, seed: int, folder: RunFolder) -> tuple[dict[str, Any], History]:
    data = _data(options, seed)
    graph = as_graph(data) if settings.transform is None else settings.transform(data)
    model = settings.build(data.num_node_features, _classes(data), seed)
    checkpoint = folder.path / f"checkpoint-seed{seed}.pt"
    config = replace(settings.config, seed=seed, checkpoint=str(checkpoint), checkpoint_every=10)
    resume = str(checkpoint) if options.resume and checkpoint.exists() else None
    start = time.perf_counter()
    with Counter(f"seed {seed}", config.epochs, options.quiet) as bar:

        def progress(e: Epoch) -> None:
            bar.to(e.epoch, f"loss {e.loss:.3f}, validation {e.val_accuracy:.3f}")

        history = fit(model, graph, config=config, resume=resume, on_epoch=progress)
    best = history.best
    row = {
        "seed": seed,
        "split": options.split or "default",
        "val_accuracy": best.val_accuracy,
        "test_accuracy": evaluate(model, graph, graph.node["test_mask"], time=best.time),
        "best_epoch": best.epoch,
        "epochs": len(history.epochs),
        "evaluations_per_epoch": history.epochs[-1].evaluations,
        "seconds": round(time.perf_counter() - start, 3),
        "checkpoint": checkpoint.name,
    }
    if best.time is not None:
        row |= {"time": best.time, "own_time_test_accuracy": evaluate(model, graph, graph.node["test_mask"])}
    folder.say(
        f"seed {seed}: validation {row['val_accuracy']:.4f}, test {row['test_accuracy']:.4f}, "
        f"epoch {best.epoch} of {len(history.epochs)}, {row['seconds']:.1f} s"
    )
    return row, history


def _data(options: Train, seed: int) -> Data:
    """The labelled graph; drawn splits are drawn anew for every seed, and digits and karate have no other ones."""
    bundled = options.data.lower() in ("digits", "karate")
    if bundled and options.split not in ("", "random"):
        raise ValueError(f"split = {options.split!r}; {options.data} has no published split: leave it out, or take random")
    if bundled or options.split in ("random", "development"):
        split = (options.split or "random", seed)
    else:
        split = int(options.split) if options.split.isdigit() else (options.split or None)
    return datasets.load(options.data, options.data_root or None, split, component=options.component)  # type: ignore[arg-type]


def _classes(data: Data) -> int:
    y = data.y
    if not isinstance(y, torch.Tensor):
        raise ValueError("this graph has no labels y; neuralpde info datasets lists those that have")
    return int(y.max()) + 1


def _finished(path: Path, options: Train) -> list[dict[str, Any]]:
    """The runs that a stopped `train` in this folder had finished."""
    record = path / "run.json"
    if not record.exists():
        if list(path.glob("checkpoint-seed*.pt")):
            return []
        raise FileNotFoundError(f"{path} holds no run to resume (no run.json, no checkpoint); start one with --out {path}")
    before = json.loads(record.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(vars(replace(options)), default=vars))
    changed = [k for k, v in before["config"].items() if k not in _FREE_ON_RESUME and now.get(k) != v]
    if changed:
        was = ", ".join(f"{k}={before['config'][k]}" for k in changed)
        is_now = ", ".join(f"{k}={now.get(k)}" for k in changed)
        raise CheckpointError(f"{path} was run with {was}; this command has {is_now}. Resume with the same options.")
    return list(before.get("runs", []))


def _finish(
    folder: RunFolder, options: Train, settings: Preset, runs: list[dict[str, Any]], histories: Mapping[str, History]
) -> int:
    runs = sorted(runs, key=lambda r: r["seed"])
    test = [100 * r["test_accuracy"] for r in runs]
    spread = statistics.stdev(test) if len(test) > 1 else float("nan")
    folder.table("accuracy", runs, ("seed", "split", "val_accuracy", "test_accuracy", "best_epoch", "seconds"))
    if len(test) > 1:
        folder.say(
            f"test accuracy {statistics.mean(test):.2f} +- {spread:.2f} % (mean and standard deviation of {len(test)} seeds)"
        )
    folder.write_csv("results.csv", runs)
    if histories:
        draw_training(histories, title=f"{options.pde} on {options.data}").savefig(folder.file("training.png"), dpi=150)
    summary = {"test_mean": statistics.mean(test), "test_std": spread, "seeds": len(test)}
    folder.finish("ok", runs=runs, summary=summary, preset=_plain(settings), torch_threads=torch.get_num_threads())
    return 0


def _plain(settings: Preset) -> dict[str, object]:
    record = {k: getattr(settings, k) for k in settings.__dataclass_fields__}
    config: FitConfig = settings.config
    return {**record, "arguments": dict(settings.arguments), "config": vars(config)}
