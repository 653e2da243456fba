"""Fitting a model: epochs, the best of them by validation, and resuming where a run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..graph import Graph
from ..models.block import PDEBlock
from .checkpoint import Progress, load_progress, save
from .config import FitConfig
from .evaluate import Batches
from .history import Epoch, History
from .regularise import Penalty, regularised
from .seeds import rng_state, seeded, set_rng_state
from .tasks import Task, make_task

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass
class _Run:
    """Everything that changes during a fit, beside the model."""

    optimizer: torch.optim.Optimizer
    plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    best_state: dict[str, Tensor] = field(default_factory=dict)


def fit(
    model: nn.Module,
    data: Graph | Data | Batches,
    val: Graph | Data | Batches | Tensor | None = None,
    *,
    task: str = "node",
    config: FitConfig | None = None,
    epochs: int | None = None,
    resume: str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> History:
    """Minimise `config.objective` (and `config.regularisation`), and leave the model as in the epoch that validated best.

    The best epoch is chosen by validation score (accuracy, micro F1, mean error: `config.objective`), among equals by
    validation loss, or the other way round (`config.select`). Of the labels only those of the training and validation sets are
    looked at.

    Args:
        model: gives class scores, scores of labels, or numbers; called with `data`, or with each batch.
        data: for `task="node"` a `Graph` or `Data` with `x`, `y`, `train_mask` and (unless `val` is given) `val_mask`;
            for `task="graph"` an iterable of batches, each a PyG `Batch` with `y` or a pair `(Graph, y)`. There y has a row
            for each row that the model gives: one per graph, or with a model of nodes one per node.
        val: for nodes a mask, or another `Data` with `val_mask`; for graphs the batches to validate on.
        task: "node" or "graph".
        config: how; None for `FitConfig()`.
        epochs: short for `config=FitConfig(epochs=...)`.
        resume: a checkpoint of a broken run; with the same configuration (but for `epochs`, `patience` and
            `checkpoint`) the fit goes on as if it had not been broken, bit for bit.
        on_epoch: called after every epoch, for a progress display.

    Returns:
        The `History`.

    Raises:
        ValueError, TypeError: for data without a training or a validation set.
        CheckpointError: the checkpoint is of another model or another configuration.
    """
    config = config or FitConfig()
    config = config if epochs is None else replace(config, epochs=epochs)
    work = make_task(task, data, val, config.horizon, config.goal)
    optimizer = config.optimizer_for(model.parameters())
    larger = config.goal.larger and config.select == "accuracy"
    run = _Run(optimizer, None if config.plateau is None else config.plateau.scheduler(optimizer, larger))
    with seeded(config.seed), regularised(model, config.regularisation) as penalty:
        if resume is not None:
            _resume(model, run, config, resume)
        while _ended(run, config) is None:
            _one_epoch(model, run, work, config, penalty)
            if config.checkpoint is not None and (
                _ended(run, config) is not None or len(run.epochs) % config.checkpoint_every == 0
            ):
                save(model, config.checkpoint, _progress(model, run, config))
            if on_epoch is not None:
                on_epoch(run.epochs[-1])
    model.load_state_dict(run.best_state)
    model.eval()
    return History(tuple(run.epochs), _ended(run, config) or "epochs", config.select, config.objective)


def _ended(run: _Run, config: FitConfig) -> str | None:
    """Why the fit is over, or None."""
    if config.patience is not None and run.best is not None and len(run.epochs) - run.best.epoch >= config.patience:
        return "patience"
    least = None if config.plateau is None else config.plateau.stop_below
    if run.epochs and least is not None and _lr(run) < least:
        return "plateau"
    return "epochs" if len(run.epochs) >= config.epochs else None


def _lr(run: _Run) -> float:
    return float(run.optimizer.param_groups[0]["lr"])


def _one_epoch(model: nn.Module, run: _Run, work: Task, config: FitConfig, penalty: Penalty) -> None:
    began = time.perf_counter()
    model.train()
    lr = _lr(run)
    total, penalties, count, evaluations = 0.0, 0.0, 0, 0
    for loss, size in work.losses(model):
        run.optimizer.zero_grad()
        more = penalty()
        (loss + more).backward()
        if config.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        run.optimizer.step()
        total, count = total + float(loss.detach()) * size, count + size
        penalties += size * (float(more.detach()) if isinstance(more, Tensor) else more)
        evaluations += sum(m.stats.evaluations for m in model.modules() if isinstance(m, PDEBlock) and m.stats)
    if not count:
        raise ValueError("there is nothing to train on: the loader yielded no batch")
    val_loss, val_score, at = work.validate(model)
    seconds = time.perf_counter() - began
    number = len(run.epochs) + 1
    epoch = Epoch(number, total / count, val_loss, val_score, evaluations, seconds, penalties / count, at, lr)
    run.epochs.append(epoch)
    if run.plateau is not None and config.plateau is not None and number > config.plateau.after:
        run.plateau.step(val_score if config.select == "accuracy" else val_loss)
    if epoch.better_than(run.best, config.select, config.goal.larger):
        run.best, run.best_state = epoch, _copy(model)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _progress(model: nn.Module, run: _Run, config: FitConfig) -> Progress:
    history = History(tuple(run.epochs), select=config.select, objective=config.objective).to_dict()
    plateau = None if run.plateau is None else run.plateau.state_dict()
    return Progress(asdict(config), history, _copy(model), run.best_state, run.optimizer.state_dict(), rng_state(), plateau)


def _resume(model: nn.Module, run: _Run, config: FitConfig, path: str) -> None:
    progress = load_progress(path, model, asdict(config))
    run.epochs = list(History.from_dict(progress.history).epochs)
    run.best = History(run.epochs, select=config.select, objective=config.objective).best
    run.best_state = dict(progress.best)
    model.load_state_dict(progress.current)
    run.optimizer.load_state_dict(progress.optimizer)
    if run.plateau is not None and progress.plateau is not None:
        run.plateau.load_state_dict(progress.plateau)
    set_rng_state(progress.rng)
