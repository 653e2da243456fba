"""Raw files of published data: finding them, saying what is missing, and keeping what was read of them."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._utils import _rebuild_tensor_v2

from ..errors import DataMissing, GraphError
from ..whole_file import replacing


@dataclass(frozen=True)
class RawFiles:
    """The files of a published data set that is not read by one of PyG's classes.

    Args:
        name: what it is called here.
        title: what it is called elsewhere.
        folders: where its files may be under the data root, the usual one first.
        files: their names, relative to the folder.
        origin: where the files come from, in words.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    origin: str

    def find(self, root: str | os.PathLike[str] | None) -> Path | None:
        """The folder that has all files, or None."""
        for folder in self.folders if root else ():
            at = Path(root, folder)  # type: ignore[arg-type]
            if all((at / file).is_file() for file in self.files):
                return at
        return None

    def locate(self, root: str | os.PathLike[str] | None) -> Path:
        """The folder that has all files.

        Raises:
            DataMissing: there is none; names the folder and the files that it lacks.
        """
        given = root if root is not None else os.environ.get("NEURALPDE_DATA")
        found = self.find(given)
        if found is not None:
            return found
        at = Path(given or "DIR", self.folders[0])
        lacking = ", ".join(file for file in self.files if not (at / file).is_file())
        why = "" if given else " (no root= was given and NEURALPDE_DATA is not set; it is called DIR here)"
        raise DataMissing(
            f"{self.title} is not in {at}{why}: it lacks {lacking}. {self.origin} Nothing is fetched from here. "
            "Offline there are digits_grids (graphs), digits and karate (nodes)."
        )


def cached(home: Path, name: str, paths: Sequence[Path], make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors that were made of some files, kept in a folder for as long as the files are the same.

    Args:
        home: the folder.
        name: beginning of the file's name.
        paths: what they are made of.
        make: makes them.
    """
    stats = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    path = home / f"{name}-{hashlib.sha256(repr(stats).encode()).hexdigest()[:16]}.pt"
    if path.is_file():
        return torch.load(path, weights_only=True)
    made = make()
    with replacing(path) as partial:
        torch.save(made, partial)
    return made


def _storage(content: bytes) -> Any:
    """What `torch.storage._load_from_bytes` does, without running any code of the file's."""
    return torch.load(io.BytesIO(content), weights_only=True)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch.storage", "_load_from_bytes"): _storage,
}


class _TensorsOnly(pickle.Unpickler):
    """Plain containers, numbers, text and tensors; anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return super().find_class(module, name)
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def read_pickle(path: Path) -> Any:
    """The content of a pickle of lists, mappings, numbers and tensors; no code in it runs.

    Raises:
        GraphError: it holds something else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _TensorsOnly(file).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise GraphError(
            f"{path.name} cannot be read as a pickle of tensors ({error}); expected lists, mappings, numbers and tensors, and "
            "nothing that runs code on loading"
        ) from error
