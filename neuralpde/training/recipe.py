"""What is run: a model with its fit, a labelled graph with its splits, and their settings as plain data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from torch import nn

from ..datasets.graph_list import GraphSets
from ..datasets.loading import Split, load
from ..graph import Graph
from ..transform import Transform
from .config import FitConfig

if TYPE_CHECKING:
    from torch_geometric.data import Data


DRAWN = ("random", "development")
"""Splits that a seed draws, of which there are always others."""


class Recipe(Protocol):
    """A model, what becomes of the graph before, and how it is fitted; a frozen dataclass of plain settings, as `Preset`."""

    @property
    def config(self) -> FitConfig:
        """Of the fit; its seed is replaced."""
        ...

    @property
    def transform(self) -> Transform | None:
        """Of the graph, once for each split, before anything is fitted."""
        ...

    def build(self, in_channels: int, num_classes: int, seed: int = 0) -> nn.Module:
        """A fresh model, its weights drawn with `seed`."""
        ...


class Source(Protocol):
    """A labelled graph (or many of them) with a choice of splits; a frozen dataclass, as `Named`."""

    @property
    def label(self) -> str:
        """What results call it, and what tells their rows from those of another graph."""
        ...

    def __call__(self, split: Split) -> Graph | Data | GraphSets:
        """The graph with `x`, `y`, `train_mask`, `val_mask`, `test_mask`; or the graphs with their three sets."""
        ...


@dataclass(frozen=True)
class Named:
    """A labelled graph of `datasets.load`.

    Args:
        name, component, root: as there.
        device: where it is put, and with it the models that are fitted on it.
    """

    name: str
    component: Literal["all", "largest"] = "all"
    root: str | os.PathLike[str] | None = None
    device: str = "cpu"

    @property
    def label(self) -> str:
        return self.name if self.component == "all" else f"{self.name}, largest component"

    def __call__(self, split: Split) -> Data:
        return load(self.name, self.root, split, component=self.component).to(self.device)


def split_label(split: Split) -> str:
    """A split in words: "public", "geom-gcn 3", "development 0", "default"."""
    if split is None:
        return "default"
    if isinstance(split, int):
        return f"geom-gcn {split}"
    if isinstance(split, str):
        return f"{split} 0" if split in DRAWN else split
    return " ".join(str(part) for part in split)


def settings(recipe: object) -> Any:
    """A recipe as plain data, with the names of its classes: what tells two recipes apart in a file of results.

    Raises:
        TypeError: it holds something that no text stands for.
    """
    if recipe is None or isinstance(recipe, bool | int | float | str):
        return recipe
    if dataclasses.is_dataclass(recipe) and not isinstance(recipe, type):
        values = {f: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
        parts = {f.name: settings(v) for f, v in values.items() if not (f.metadata.get("unset") and v == f.default)}
        return {"class": type(recipe).__name__, **parts}
    if isinstance(recipe, Mapping):
        return {str(key): settings(value) for key, value in recipe.items()}
    if isinstance(recipe, list | tuple):
        return [settings(value) for value in recipe]
    if isinstance(recipe, os.PathLike):
        return os.fspath(recipe)
    name = getattr(recipe, "__qualname__", "<")
    if callable(recipe) and "<" not in name:  # a class or a function that can be found by its name, no lambda
        return f"{recipe.__module__}.{name}"
    raise TypeError(
        f"a {type(recipe).__name__} cannot be written among the settings of a run; a recipe is a dataclass of numbers, "
        "text, lists, mappings and dataclasses"
    )
