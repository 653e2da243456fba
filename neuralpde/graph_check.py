"""Validation of graphs: each check raises a `GraphError` that says what was got, what was expected and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import Tensor

from solvers import Pattern

from .errors import GraphError
from .graph_build import Edges


def relabel(edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """Number the nodes that occur in `edge_index` as 0..n-1, in the order of their old numbers.

    Args:
        edge_index: integers `[2, E]`, any values.

    Returns:
        `(new_edge_index, nodes)`: `[2, E]` and `[n]`, with `nodes[new_edge_index]` equal to `edge_index`.
    """
    nodes, index = torch.unique(edge_index, return_inverse=True)
    return index.to(torch.int64), nodes


def as_edge_index(edge_index: object) -> Tensor:
    """Return `edge_index` as an int64 tensor `[2, E]`, or say why that cannot be.

    Raises:
        GraphError: not of shape `[2, E]`, or not integer.
    """
    index = torch.as_tensor(edge_index)
    if index.numel() == 0 and index.dim() == 1:
        return index.new_zeros((2, 0), dtype=torch.int64)
    if index.dim() != 2 or index.size(0) != 2:
        hint = " Did you mean edge_index.t()?" if index.dim() == 2 and index.size(1) == 2 else ""
        raise GraphError(f"edge_index has shape {tuple(index.shape)}; expected (2, E).{hint}")
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        name = str(index.dtype).removeprefix("torch.")
        if index.numel() == 0:
            return index.to(torch.int64)
        raise GraphError(f"edge_index is {name}; expected integer. edge_index.long() if the values are whole.")
    return index.to(torch.int64)


def check_parts(parts: Edges, source: str, signed: bool) -> None:
    """Check everything that `Graph.from_edges` promises; `source` says where `num_nodes` comes from."""
    check_range(parts.edge_index, parts.num_nodes, source)
    if parts.weight is not None:
        check_weight(parts.weight, parts.edge_index.size(1), signed)
    if parts.batch is not None:
        check_batch(parts.batch, parts.edge_index, parts.num_nodes)
    check_rows({"pos": parts.pos, **parts.node}, parts.num_nodes, "node")
    check_rows({"edge_attr": parts.edge_attr}, parts.edge_index.size(1), "edge")
    for name, value in (("pos", parts.pos), ("x", parts.node.get("x"))):
        if value is not None and value.is_floating_point():
            check_features(value, name)


def check_range(edge_index: Tensor, num_nodes: int, source: str) -> None:
    """Check 0 <= edge_index < num_nodes; `source` says where `num_nodes` comes from ("x has 3 rows")."""
    if edge_index.numel() == 0:
        return
    high = int(edge_index.max())
    if int(edge_index.min()) < 0:
        column = _first((edge_index < 0).any(0))
        raise GraphError(
            f"edge_index names node {int(edge_index[:, column].min())} (column {column}); nodes are numbered from 0. "
            "Relabel with neuralpde.relabel(edge_index)."
        )
    if high >= num_nodes:
        column = _first((edge_index >= num_nodes).any(0))
        node = int(edge_index[:, column].max())
        raise GraphError(
            f"edge_index names node {node} (column {column}) but {source} (nodes 0..{num_nodes - 1}). "
            f"Pass num_nodes={high + 1}, or relabel with neuralpde.relabel(edge_index)."
        )


def check_weight(weight: Tensor, num_edges: int, signed: bool) -> None:
    """Check that `weight` is `[E]`, floating, finite and, unless `signed`, not negative."""
    if tuple(weight.shape) != (num_edges,):
        hint = " weight.squeeze(-1)?" if tuple(weight.shape) == (num_edges, 1) else ""
        raise GraphError(f"weight has shape {tuple(weight.shape)}; expected ({num_edges},), one per edge.{hint}")
    if not (weight.is_floating_point() or weight.is_complex()):
        raise GraphError(f"weight is {str(weight.dtype).removeprefix('torch.')}; expected floating. weight.float()?")
    weight = weight.detach()
    bad = ~torch.isfinite(weight)
    if bool(bad.any()):
        raise GraphError(
            f"weight has {int(bad.sum()):,} non-finite value{_s(int(bad.sum()))}, first at edge {_first(bad)}. "
            "Drop those edges: keep = weight.isfinite(); edge_index[:, keep], weight[keep]."
        )
    if signed or weight.is_complex():
        return
    negative = weight < 0
    if bool(negative.any()):
        least = int(weight.argmin())
        count = int(negative.sum())
        raise GraphError(
            f"{count:,} weight{_s(count)} {'is' if count == 1 else 'are'} negative (least {float(weight[least]):g} at "
            f"edge {least}): D^-1/2 is not real and diffusion can blow up. "
            "Use signed=True (signed Laplacian) or weight.abs()."
        )


def check_features(x: Tensor, name: str = "x0") -> None:
    """Check that every value of `x` `[..., N, C]` (or `[N]`) is finite.

    Raises:
        GraphError: with the count, and the node and feature of the first that is not.
    """
    bad = ~torch.isfinite(x.detach())
    if not bool(bad.any()):
        return
    where = torch.nonzero(bad)[0].tolist()
    node = where[-2] if len(where) > 1 else where[0]
    place = f"node {node}" + (f", feature {where[-1]}" if len(where) > 1 else "")
    count = int(bad.sum())
    raise GraphError(
        f"{name} has {count:,} non-finite value{_s(count)}, first at {place}. "
        f"{name}.isfinite() shows which; leave those nodes out, or fill them with {name}.nan_to_num()."
    )


def check_batch(batch: Tensor, edge_index: Tensor, num_nodes: int) -> None:
    """Check that `batch` is an integer graph number for each node and that no edge joins two graphs."""
    if tuple(batch.shape) != (num_nodes,) or batch.is_floating_point():
        raise GraphError(
            f"batch is {str(batch.dtype).removeprefix('torch.')} of shape {tuple(batch.shape)}; "
            f"expected int64 of shape ({num_nodes},): the number of each node's graph."
        )
    if num_nodes and int(batch.min()) < 0:
        raise GraphError(f"batch has graph number {int(batch.min())}; graphs are numbered from 0.")
    across = batch[edge_index[0]] != batch[edge_index[1]]
    if bool(across.any()):
        i, j = edge_index[:, _first(across)].tolist()
        raise GraphError(
            f"{int(across.sum()):,} edges join different graphs of the batch (first: {i} -> {j}, graphs "
            f"{int(batch[i])} and {int(batch[j])}). Drop them, or pass batch=None for one graph."
        )


def check_rows(values: Mapping[str, Tensor | None], rows: int, what: str) -> None:
    """Check that each tensor has one row per node (or edge)."""
    for name, value in values.items():
        if value is not None and (value.dim() == 0 or value.size(0) != rows):
            raise GraphError(f"{name} has shape {tuple(value.shape)}; expected {rows} rows, one per {what}.")


def mirrored(pattern: Pattern) -> bool:
    """Whether a pattern and its transpose are the same when sorted; operators need both sorted anyway."""
    here, there = pattern.by_row, pattern.transposed.by_row
    return torch.equal(here.pointers, there.pointers) and torch.equal(here.columns, there.columns)


def unpaired(edge_index: Tensor, weight: Tensor | None, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Find what keeps a graph from being undirected.

    Returns:
        Two masks `[E]`: edges i -> j with no edge j -> i, and edges whose reverse has another weight
        (parallel edges are added up first; weights agree when they do to 1e-5 (float32) or 1e-12 (float64)).
    """
    source, target = edge_index
    keys, inverse = torch.unique(source * num_nodes + target, return_inverse=True)
    reverse = target * num_nodes + source
    if keys.numel() == 0:
        none = torch.zeros(edge_index.size(1), dtype=torch.bool, device=edge_index.device)
        return none, none
    at = torch.searchsorted(keys, reverse).clamp(max=keys.numel() - 1)
    missing = keys[at] != reverse
    value = torch.ones(edge_index.size(1), device=keys.device) if weight is None else weight.detach()
    total = value.new_zeros(keys.numel()).index_add_(0, inverse, value)
    tolerance = 100 * torch.finfo(value.dtype).eps
    forward, backward = total[inverse], total[at]
    unequal = (forward - backward).abs() > tolerance * torch.maximum(forward.abs(), backward.abs())
    return missing, unequal & ~missing


def refuse_directed(who: str, edge_index: Tensor, weight: Tensor | None, num_nodes: int) -> NoReturn:
    """Raise for `who`, which needs an undirected graph, with what `unpaired` finds."""
    missing, unequal = unpaired(edge_index, weight, num_nodes)
    bad, what = missing, "have no reverse"
    if not bool(missing.any()):
        bad, what = unequal, "have another weight than their reverse"
    source, target = edge_index[:, _first(bad)].tolist()
    raise GraphError(
        f"{who} needs an undirected graph: {int(bad.sum()):,} of {edge_index.size(1):,} edges {what} "
        f"(first: {source} -> {target}). graph.to_undirected(), or Graph.from_edges(..., undirected=True), "
        "mends that."
    )


def warn_unentered(who: str, mask: Tensor) -> None:
    """Warn that the degree-normalised `who` has zero rows, at the nodes of `mask` that no edge enters."""
    count = int(mask.sum())
    warnings.warn(
        f"{count:,} isolated node{_s(count)} (first: {_first(mask)}) keep{'s' * (count == 1)} "
        f"{'its' if count == 1 else 'their'} value; degree-normalised operators ({who}) set {'its' if count == 1 else 'their'} "
        "row to 0.",
        stacklevel=4,
    )


def _first(mask: Tensor) -> int:
    return int(torch.nonzero(mask)[0, 0])


def _s(count: int) -> str:
    return "" if count == 1 else "s"
