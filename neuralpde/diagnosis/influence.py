"""Sizes of the blocks of a Jacobian between nodes, by products with it and its transpose on the full graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from solvers import unknown

BlockNorm = Literal["frobenius", "l1"]


def influence(
    forward: Callable[[Tensor], Tensor],
    u0: Tensor,
    *,
    target: int | None = None,
    source: int | None = None,
    pairs: Tensor | None = None,
    norm: BlockNorm = "frobenius",
) -> Tensor:
    """How much the output at a node depends on the input at another, `S(v, u) = |d y_v / d x_u|` of `y = forward(x)`.

    |.| is over the channels of both: "frobenius" `sqrt(sum_ab (d y_va / d x_ub)^2)`, "l1" `sum_ab |d y_va / d x_ub|`. For any
    map of node features, a layer or a whole network: `influence(lambda x: model(x, edge_index), x, target=3)`. Everything
    is on the full graph; cutting a neighbourhood out changes its degrees.

    Args:
        forward: takes `[N, C]`, returns `[N, C']`; deterministic and differentiable (twice, for `source`).
        u0: where, `[N, C]`.
        target: v; the answer is a map over u, by C' backward passes.
        source: u; the answer is a map over v, by C backward passes through a backward pass.
        pairs: `[2, P]` int64, rows v and u; by C' backward passes for each different v.
        norm: "frobenius" or "l1".

    Returns:
        `[N]` for a target or a source, `[P]` for pairs; detached. Memory: one record of forward.

    Raises:
        ValueError: not exactly one of target, source and pairs; a node that is not there; an unknown norm.
        TypeError: forward cannot be differentiated; or not twice, for `source`.

    Reference: K. Xu et al., Representation learning on graphs with jumping knowledge networks (2018), influence score;
    J. Topping et al., Understanding over-squashing and bottlenecks on graphs via curvature (2022), Lemma 1.
    """
    if norm not in ("frobenius", "l1"):
        raise unknown("norm", norm, ("frobenius", "l1"))
    _check_nodes(target, source, pairs, u0.shape[0])
    with torch.enable_grad():
        x = u0.detach().clone().requires_grad_()
        y = forward(x)
        if y.dim() != 2:
            raise ValueError(f"forward returned shape {tuple(y.shape)}; expected (nodes, channels)")
        if not y.requires_grad:
            raise TypeError("the output has no record of the input; expected a map (or method) that autograd can follow")
        if target is not None:
            return _row(y, x, target, norm)
        if source is not None:
            return _column(y, x, source, norm)
        return _at_pairs(y, x, torch.as_tensor(pairs), norm)


def _check_nodes(target: int | None, source: int | None, pairs: Tensor | None, n: int) -> None:
    given = [name for name, x in (("target", target), ("source", source), ("pairs", pairs)) if x is not None]
    if len(given) != 1:
        raise ValueError(f"got {' and '.join(given) or 'none of them'}; expected one of target=, source= and pairs=")
    nodes = torch.as_tensor(next(x for x in (target, source, pairs) if x is not None))
    if pairs is not None and (nodes.dim() != 2 or nodes.shape[0] != 2):
        raise ValueError(f"pairs has shape {tuple(nodes.shape)}; expected (2, P), targets above sources")
    if nodes.is_floating_point() or (nodes.numel() and not 0 <= int(nodes.min()) <= int(nodes.max()) < n):
        raise ValueError(f"{given[0]}={nodes.tolist()}; expected nodes 0..{n - 1}")


def _row(y: Tensor, x: Tensor, target: int, norm: BlockNorm) -> Tensor:
    """`[N]`: the sizes of d y_target / d x_u."""
    blocks = [_pulled_back(y, x, target, a) for a in range(y.shape[1])]
    return _size(torch.stack(blocks), norm)


def _pulled_back(y: Tensor, x: Tensor, node: int, channel: int, allow_unused: bool = True) -> Tensor:
    unit = torch.zeros_like(y)
    unit[node, channel] = 1
    (found,) = torch.autograd.grad(y, x, unit, retain_graph=True, allow_unused=allow_unused)
    return torch.zeros_like(x) if found is None else found


def _column(y: Tensor, x: Tensor, source: int, norm: BlockNorm) -> Tensor:
    """`[N]`: the sizes of d y_v / d x_source; J e is the derivative of `w -> J' w` in the direction e."""
    probe = torch.ones_like(y, requires_grad=True)
    try:
        (image,) = torch.autograd.grad(y, x, probe, create_graph=True, allow_unused=True)
        if image is None or not (image.requires_grad or bool(image.any())):
            return y.new_zeros(y.shape[0])
        columns = [_pulled_back(image, probe, source, b, allow_unused=False) for b in range(x.shape[1])]
    except RuntimeError as error:
        raise TypeError(
            f"source= needs a solve that can be differentiated twice ({error}); ask by target= or pairs="
        ) from error
    return _size(torch.stack(columns), norm)


def _at_pairs(y: Tensor, x: Tensor, pairs: Tensor, norm: BlockNorm) -> Tensor:
    found = y.new_zeros(pairs.shape[1])
    for target in pairs[0].unique().tolist():
        here = pairs[0] == target
        found[here] = _row(y, x, target, norm)[pairs[1][here]]
    return found


def _size(blocks: Tensor, norm: BlockNorm) -> Tensor:
    """`[k, N, c]` -> `[N]`."""
    order = 2 if norm == "frobenius" else 1
    return torch.linalg.vector_norm(blocks.detach(), order, dim=(0, 2))
