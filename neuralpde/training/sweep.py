"""Many runs: every recipe on every split with every seed, each once, whatever stops it in between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial

from ..datasets.graph_list import GraphSets
from ..datasets.loading import Split
from ..graph import Graph, as_graph
from .blind import BlindLoader, blind_loader, fit_blind, scored
from .ledger import Ledger, Row, digest
from .recipe import Named, Recipe, Source, settings, split_label
from .table import Run, Table
from .versions import stamp


def sweep(
    recipes: Mapping[str, Recipe],
    data: str | Source,
    splits: Iterable[Split],
    seeds: Iterable[int],
    path: str | os.PathLike[str] | None = None,
    *,
    on_run: Callable[[Run], None] | None = None,
) -> Table:
    """Fit every recipe on every split with every seed, and test each once, in its best epoch by validation.

    The runs are lines of a file that is only appended to. A run that is there with the same settings is not repeated, so a
    sweep that was stopped goes on where it was; the run that was broken off starts again. Several processes may be given the
    same sweep: they share the runs. What fits and what chooses the epoch is handed a graph without the test set.

    Args:
        recipes: by name; `Preset`s, or dataclasses of your own with `config`, `transform` and `build`.
        data: name of a labelled graph (`Named("cora", component="largest")` says more), or a `Source`.
        splits: as `datasets.load` takes them: ("development", 0), ("random", 3), "public", ...
        seeds: of weights and fits.
        path: the file, of JSON lines; None keeps the runs in memory only.
        on_run: called after each run that was done here.

    Returns:
        The `Table` of these runs, those that were there before included.

    Raises:
        TypeError: recipes without names, or none.
        IntegrationError, ...: as the fit that fails; the runs before it are kept.

    Example:
        >>> from neuralpde.training import preset, sweep
        >>> recipes = {name: preset("karate", name) for name in ("diffusion", "mlp")}
        >>> table = sweep(recipes, "karate", [("random", 0), ("random", 1)], seeds=[0])  # doctest: +SKIP
        >>> print(table.difference("diffusion", "mlp").interval)  # doctest: +SKIP
    """
    if not isinstance(recipes, Mapping) or not recipes:
        got = "an empty mapping" if isinstance(recipes, Mapping) else f"a {type(recipes).__name__}"
        raise TypeError(f'recipes is {got}; expected them by name: {{"grand": preset("cora", "grand")}}')
    source = Named(data) if isinstance(data, str) else data
    full = lru_cache(1)(partial(_labelled, source))
    ready = blind_loader(full)
    texts, names = {name: settings(recipe) for name, recipe in recipes.items()}, list(seeds)
    todo: dict[str, Callable[[], Row]] = {}
    for split in splits:
        for name, recipe in recipes.items():
            for seed in names:
                label = {
                    "recipe": name,
                    "settings": texts[name],
                    "data": source.label,
                    "split": split_label(split),
                    "seed": seed,
                }
                todo[digest("run", label)] = partial(_run, label, recipe, ready, full, split, seed)
    tell = None if on_run is None else (lambda row: on_run(Run.of(row)))
    return Table([Run.of(row) for row in Ledger(path).complete(todo, tell)])


Labelled = Graph | GraphSets


def _labelled(source: Source, split: Split) -> Labelled:
    data = source(split)
    return data if isinstance(data, GraphSets) else as_graph(data)


def _run(label: Row, recipe: Recipe, ready: BlindLoader, full: Callable[[Split], Labelled], split: Split, seed: int) -> Row:
    """Fit, and only then look at the test set."""
    data = ready(split, recipe.transform)
    fitted = fit_blind(recipe, data, seed)
    whole, at, config = full(split), fitted.best.time, recipe.config
    tested = {
        **scored("test", data.test(fitted.model, whole, config, at), config.objective),
        "own_time_test_accuracy": None if at is None else data.test(fitted.model, whole, config),
    }
    return {**label, **fitted.row(), **tested, **stamp()}
