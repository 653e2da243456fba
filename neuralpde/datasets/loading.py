"""Labelled graphs by name: bundled ones, and published ones from raw files that are already there, without network."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from solvers import unknown

from ..errors import DataMissing
from .arxiv import ARXIV, read_arxiv
from .component import largest_component
from .digits import digits_knn
from .published import ALIASES, PUBLISHED, Published, find_raw
from .social import karate
from .splits import class_split, development_split

if TYPE_CHECKING:
    from torch_geometric.data import Data

Split = str | int | tuple[str, int] | None


def cache_folder() -> Path:
    """Where processed files are kept: NEURALPDE_CACHE, else XDG_CACHE_HOME/neuralpde, else ~/.cache/neuralpde."""
    if own := os.environ.get("NEURALPDE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neuralpde"


def load(
    name: str,
    root: str | os.PathLike[str] | None = None,
    split: Split = None,
    *,
    seed: int = 0,
    component: Literal["all", "largest"] = "all",
) -> Data:
    """Load a labelled graph; never touches the network and writes nothing under `root`.

    Args:
        name: `digits`, `karate`, `ogbn-arxiv`, or a published graph (`datasets.available()`); case, `_` and `-` do not matter.
        root: folder with the raw files, as `root/Planetoid/Cora/raw/...` (or `root/Cora/raw/...`); None takes the
            environment variable NEURALPDE_DATA. Processed files go to `cache_folder()`.
        split: `"public"` (Planetoid: 20 a class / 500 / 1000), `("geom-gcn", i)` or `i` (the i-th of ten splits),
            `("random", seed)` (20 a class / 30 a class / rest, Shchur et al. 2018), `("development", seed)` (20 a class and
            the rest of 1500 nodes drawn, of 5000 for Coauthor / all others, Gasteiger et al. 2019), `"all"` (the ten splits
            as masks `[N, 10]`), or None: `"public"` where there is one (ogbn-arxiv: by time), else the first of the ten, else
            `("random", seed)`.
        seed: of a random split that `split` gives no seed for; also for `digits` and `karate`.
        component: "largest" keeps the largest connected component only; splits are drawn there, published ones are cut.

    Returns:
        A PyG `Data` with `x`, `edge_index`, `y`, `train_mask`, `val_mask`, `test_mask`. Edges are as published: the
        WebKB, Wikipedia and Actor graphs are directed and have self-loops.

    Raises:
        DataMissing: the raw files are not there; says where it looked and what works without them.
        UnknownName: naming the nearest names.
        ValueError: a split that this graph does not have.
    """
    key = _plain(name)
    if component not in ("all", "largest"):
        raise unknown("component", component, ("all", "largest"))
    if key in ("digits", "karate"):  # they are connected
        if split is not None and not (isinstance(split, tuple) and split[0] == "random"):
            raise ValueError(f"{key} has no split {split!r}; expected None or ('random', seed).")
        seed = split[1] if isinstance(split, tuple) else seed
        return digits_knn(seed=seed) if key == "digits" else karate(seed=seed)
    if key in (ARXIV.name, "arxiv"):
        return _arxiv(root, split, component)
    entry = PUBLISHED.get(ALIASES.get(key, key))
    if entry is None:
        raise unknown("dataset", name, ["digits", "karate", ARXIV.name, *PUBLISHED])
    chosen = _resolve_split(entry, split, seed)
    ten = entry.family == "Planetoid" and chosen[0] in ("geom-gcn", "all")
    raw = _locate(entry, root, ten)
    data = _read(entry, raw, ten)
    return _with_split(entry, largest_component(data) if component == "largest" else data, chosen)


def _arxiv(root: str | os.PathLike[str] | None, split: Split, component: str) -> Data:
    if split not in (None, "public", "time"):
        raise ValueError(f"{ARXIV.name} has no split {split!r}; expected None, 'public' or 'time' (its one division, by time)")
    data = read_arxiv(ARXIV.locate(root), cache_folder())
    return largest_component(data) if component == "largest" else data


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _resolve_split(entry: Published, split: Split, seed: int) -> tuple[str, int]:
    if split is None:
        split = "public" if "public" in entry.splits else 0 if "ten" in entry.splits else ("random", seed)
    chosen = ("geom-gcn", split) if isinstance(split, int) else (split, seed) if isinstance(split, str) else split
    kind, number = chosen
    possible = {"public": "'public'", "ten": "('geom-gcn', 0..9), 'all'"}
    known = [possible[s] for s in entry.splits] + ["('random', seed)", "('development', seed)"]
    ok = kind in ("random", "development") or (kind == "public" and "public" in entry.splits)
    ok = ok or ("ten" in entry.splits and (kind == "all" or (kind == "geom-gcn" and 0 <= number <= 9)))
    if not ok:
        raise ValueError(f"{entry.name} has no split {split!r}; expected one of {', '.join(known)}.")
    return kind, number


def _locate(entry: Published, root: str | os.PathLike[str] | None, ten: bool) -> Path:
    given = root if root is not None else os.environ.get("NEURALPDE_DATA")
    if given:
        raw = find_raw(entry, given, ten)
        if raw is not None:
            return raw
        folder = Path(given, entry.family) / entry.raw_folder(ten)
        lacking = [file for file in entry.raw_files(ten) if not (folder / file).is_file()]
        what = f"is not in {folder}"
    else:
        folder = Path("DIR", entry.family) / entry.raw_folder(ten)
        lacking = list(entry.raw_files(ten))
        what = "needs its raw files: no root= was given and NEURALPDE_DATA is not set (called DIR here)"
    name = f", name={entry.pyg_name!r}" if entry.pyg_name else ""
    bare = Path(given or "DIR", "PubMedGraph", "pubmed_graph.npz")
    if entry.name == "pubmed" and bare.is_file():
        what += f" ({bare} has the graph, the classes and the splits, but no features, which a model needs)"
    raise DataMissing(
        f"{entry.pyg_name or entry.family} {what}. Put {_braces(lacking)} into {folder}; with a network, "
        f"torch_geometric.datasets.{entry.family}(root={str(Path(given or 'DIR', entry.family))!r}{name}) fetches them. "
        "Or use an offline set: digits, karate, salish_sea, jacksboro (neuralpde info datasets)."
    )


def _braces(files: list[str]) -> str:
    """`a.x, a.y` as `a.{x,y}`, if they share a beginning."""
    first, last = min(files), max(files)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    stem = first[: max(first.rfind(c, 0, same) for c in "._") + 1]
    if len(files) < 2 or not stem:
        return ", ".join(files)
    return f"{stem}{{{','.join(file.removeprefix(stem) for file in files)}}}"


def _read(entry: Published, raw: Path, ten: bool) -> Data:
    """Let PyG read `raw` from a folder of the cache, which links to it."""
    import torch_geometric
    from torch_geometric import datasets

    files = entry.raw_files(ten)
    stats = [(raw / file).stat() for file in files]
    identity = repr([torch_geometric.__version__, str(raw.resolve()), [(s.st_size, s.st_mtime_ns) for s in stats]])
    home = cache_folder() / f"{entry.name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    arguments: dict[str, object] = {"name": entry.pyg_name} if entry.pyg_name else {}
    if ten:
        arguments["split"] = "geom-gcn"
    make = getattr(datasets, entry.family)
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".new-") as new:
            _link(raw, Path(new) / entry.raw_folder(ten), files)
            with contextlib.redirect_stderr(io.StringIO()):  # PyG prints "Processing..."
                make(root=new, **arguments)
            with contextlib.suppress(OSError):  # another process was first
                Path(new).rename(home)
                Path(new).mkdir()  # for the context manager to remove
    _link(raw, home / entry.raw_folder(ten), files)  # what was removed: PyG would look for it on the network
    return make(root=str(home), **arguments)[0]


def _link(raw: Path, folder: Path, files: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        if (folder / file).is_file():
            continue
        try:
            (folder / file).symlink_to((raw / file).resolve())
        except OSError:  # no links on this file system
            shutil.copyfile(raw / file, folder / file)


def _with_split(entry: Published, data: Data, chosen: tuple[str, int]) -> Data:
    kind, number = chosen
    names = ("train_mask", "val_mask", "test_mask")
    if kind in ("random", "development"):
        y = torch.as_tensor(data.y)
        size = 5000 if entry.family == "Coauthor" else 1500
        drawn = class_split(y, seed=number) if kind == "random" else development_split(y, size, seed=number)
        for key, mask in zip(names, drawn, strict=True):
            data[key] = mask
    elif kind == "geom-gcn":
        for key in names:
            data[key] = data[key][:, number].clone()
    return data
