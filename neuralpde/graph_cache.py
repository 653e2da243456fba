"""Which `Data` were read already: a graph is validated and its patterns are sorted once, not at every forward pass.

Entries hang on the `edge_index` tensor itself (weakly) and on its version, so that a new or changed one is read anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

if TYPE_CHECKING:
    from .graph_class import Graph


@dataclass(frozen=True, eq=False)
class Seen:
    """A graph that was read, with the tensors that it was read from (all but `edge_index`) and their versions."""

    graph: Graph
    version: int
    held: dict[str, tuple[Tensor, int]]

    def same(self, rest: Mapping[str, Tensor]) -> bool:
        """Whether `rest` are the very tensors that were read, unchanged since."""
        return self.held.keys() == rest.keys() and all(
            value is rest[key] and version == value._version for key, (value, version) in self.held.items()
        )


_SEEN = WeakTensorKeyDictionary()


def recall(edge_index: Tensor) -> Seen | None:
    """What was read from this very `edge_index`, if it has not changed since."""
    if edge_index.is_inference():
        return None
    seen = _SEEN.get(edge_index)
    return seen if seen is not None and seen.version == edge_index._version else None


def remember(edge_index: Tensor, rest: Mapping[str, Tensor], graph: Graph) -> None:
    """Keep `graph` for as long as `edge_index` lives; `graph` must not hold that tensor itself, only an alias."""
    if edge_index.is_inference() or any(value.is_inference() for value in rest.values()):
        return
    held = {key: (value, value._version) for key, value in rest.items()}
    _SEEN[edge_index] = Seen(graph, edge_index._version, held)
