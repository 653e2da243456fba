"""One file for a model, and for a fit that may go on: configuration, weights, optimizer, generators, history.

It is read with `torch.load(weights_only=True)`, so that no code runs on loading: a model is rebuilt from the names and
arguments of the package's own classes (and of those that the caller hands to `load`).
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import __version__
from ..errors import CheckpointError
from ..models.describe import describe, differences, rebuild
from ..whole_file import replacing
from .config import FitConfig

FORMAT = 1
FREE_TO_CHANGE = {"epochs", "patience", "checkpoint", "checkpoint_every"}


@dataclass(frozen=True, eq=False)
class Progress:
    """A fit between two epochs.

    Args:
        config: of the fit, as a dictionary.
        history: of the epochs done, as a dictionary.
        current, best: the weights after the last epoch and after the best one.
        optimizer: its state.
        rng: the state of torch's generators.
        plateau: the state of what makes the learning rate fall; None where nothing does.
    """

    config: dict[str, Any]
    history: dict[str, Any]
    current: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimizer: dict[str, Any]
    rng: dict[str, object]
    plateau: dict[str, Any] | None = None


def save(model: nn.Module, path: str | os.PathLike[str], progress: Progress | None = None) -> None:
    """Write a model to one file; with `progress`, a fit that can be resumed. The file is replaced as a whole or not at all.

    Args:
        model: any module. One of this package's models can be rebuilt by `load(path)`, another only filled.
        path: the file.
        progress: of a fit (then the model in the file is the best one so far); None for the model alone.
    """
    content = {
        "format": FORMAT,
        "version": __version__,
        "model": _described(model),
        "state": dict(model.state_dict() if progress is None else progress.best),
        "progress": None if progress is None else {key: getattr(progress, key) for key in Progress.__dataclass_fields__},
    }
    with replacing(Path(path)) as partial:
        torch.save(content, partial)


def load(path: str | os.PathLike[str], model: nn.Module | None = None, *, known: Sequence[type] = ()) -> nn.Module:
    """Read a model: rebuild the one that was saved, or fill one that was built alike.

    Args:
        path: a file that `save` or `fit` wrote.
        model: to be filled; None rebuilds the model with its configuration.
        known: classes of the caller's own (equations, integrators) that the model is made of.

    Returns:
        The model, in evaluation mode, on the CPU if it was rebuilt.

    Raises:
        CheckpointError: the file is no checkpoint, the model is another one, or it cannot be rebuilt.
        FileNotFoundError: there is no such file.
    """
    content = _read(path)
    if model is None:
        if content["model"] is None:
            raise CheckpointError(
                f"{path} holds the weights of a model that cannot be rebuilt from its arguments; build it and call "
                f"neuralpde.load({str(path)!r}, model)."
            )
        rebuilt = rebuild(content["model"], known)
        if not isinstance(rebuilt, nn.Module):
            raise CheckpointError(f"{path} describes a {type(rebuilt).__name__}, which is no model")
        model = rebuilt
    _fill(model, content, path)
    return model.eval()


def load_progress(path: str | os.PathLike[str], model: nn.Module, config: dict[str, Any]) -> Progress:
    """What a fit of this model with this configuration goes on from.

    Raises:
        CheckpointError: the file holds no fit, or one of another model or configuration.
    """
    content = _read(path)
    _fill(model, content, path)
    if content["progress"] is None:
        raise CheckpointError(f"{path} holds a model and no fit to resume; neuralpde.load({str(path)!r}) reads the model.")
    progress = Progress(**content["progress"])
    before = {**asdict(FitConfig()), **progress.config}  # an older file lacks what was added since
    changed = [key for key, value in before.items() if config.get(key) != value and key not in FREE_TO_CHANGE]
    if changed:
        was = ", ".join(f"{key}={before[key]}" for key in changed)
        now = ", ".join(f"{key}={config.get(key)}" for key in changed)
        raise CheckpointError(f"{path} is of a fit with {was}; this one has {now}. Resume with the same, or start anew.")
    return progress


def _described(model: nn.Module) -> dict[str, Any] | None:
    try:
        return describe(model)
    except CheckpointError:
        return None


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    if Path(path).is_file() and not zipfile.is_zipfile(path):  # torch.load would say anything of it
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: it is no file of torch.save. Expected one of neuralpde.save."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint of neuralpde.save: {str(error).splitlines()[0].split('. ')[0]}"
        ) from error
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path} was not written by neuralpde.save; read it with torch.load and model.load_state_dict.")
    if content["format"] > FORMAT:
        raise CheckpointError(f"{path} was written by neuralpde {content['version']}, which is newer than {__version__}")
    return content


def _fill(model: nn.Module, content: dict[str, Any], path: str | os.PathLike[str]) -> None:
    mine = _described(model)
    if content["model"] is not None and mine is not None:
        was, now = differences(content["model"], mine)
        if was or now:
            raise CheckpointError(
                f"{path} was made with {was} (neuralpde {content['version']}); this model has {now}. "
                f'neuralpde.load("{path}") rebuilds the right one.'
            )
    try:
        model.load_state_dict(content["state"])
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise CheckpointError(f"{path} does not fit this model: {' '.join(lines)}") from error
