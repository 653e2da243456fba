"""Which nodes are for training, which for choosing, which for testing: masks that a seed determines."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def class_split(y: Tensor, train_per_class: int = 20, val_per_class: int = 30, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Draw so many training and validation nodes of each class; the rest is for testing.

    20 and 30 are the numbers of Shchur et al. (2018, Pitfalls of graph neural network evaluation). The draw has its own
    generator on the CPU: the same seed gives the same masks on every device, whatever was drawn before.

    Args:
        y: class of each node, `[N]` int64; negative for unknown (in no set).
        train_per_class, val_per_class: numbers of nodes.
        seed: of the draw.

    Returns:
        Masks (train, val, test), each `[N]` bool.

    Raises:
        ValueError: a class has fewer nodes than asked for.
    """
    labels = y.detach().cpu()
    train, val, test = (torch.zeros(labels.shape, dtype=torch.bool) for _ in range(3))
    generator = torch.Generator().manual_seed(seed)
    wanted = train_per_class + val_per_class
    for c in torch.unique(labels[labels >= 0]).tolist():
        nodes = (labels == c).nonzero().flatten()
        if nodes.numel() < wanted:
            raise ValueError(
                f"class {c} has {nodes.numel()} nodes; {train_per_class} for training and {val_per_class} for validation "
                f"need {wanted}. Ask for fewer per class."
            )
        nodes = nodes[torch.randperm(nodes.numel(), generator=generator)]
        train[nodes[:train_per_class]] = True
        val[nodes[train_per_class:wanted]] = True
        test[nodes[wanted:]] = True
    return train.to(y.device), val.to(y.device), test.to(y.device)


def development_split(
    y: Tensor, development: int = 1500, train_per_class: int = 20, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a development set of nodes, and from it so many training nodes of each class; its rest is for validation.

    What is outside of the development set is for testing. 1500 nodes (5000 for Coauthor CS) and 20 a class are the numbers
    of Gasteiger et al. (2019, Diffusion improves graph learning), whose protocol GRAND's released code follows. A class of
    which the development set has fewer gets all of them as training nodes, and says so in a warning.

    Args:
        y: class of each node, `[N]` int64; negative for unknown (in no set).
        development: nodes drawn.
        train_per_class: training nodes of each class.
        seed: of the draw, with a generator of its own on the CPU.

    Returns:
        Masks (train, val, test), each `[N]` bool.

    Raises:
        ValueError: fewer nodes with a class than the development set is to have.
    """
    labels = y.detach().cpu()
    known = (labels >= 0).nonzero().flatten()
    if len(known) <= development:
        raise ValueError(f"{len(known)} nodes have a class; a development set of {development} would leave none for testing")
    train, val, test = (torch.zeros(labels.shape, dtype=torch.bool) for _ in range(3))
    generator = torch.Generator().manual_seed(seed)
    drawn = known[torch.randperm(len(known), generator=generator)]
    inside, short = drawn[:development], []
    test[drawn[development:]] = True
    val[inside] = True
    for c in torch.unique(labels[known]).tolist():
        nodes = inside[labels[inside] == c][:train_per_class]  # in random order already
        train[nodes], val[nodes] = True, False
        if len(nodes) < train_per_class:
            short.append(f"class {c} has {len(nodes)}")
    if short:
        few = "; ".join(short)
        warnings.warn(f"the development set has fewer than {train_per_class} nodes of some classes: {few}", stacklevel=2)
    return train.to(y.device), val.to(y.device), test.to(y.device)
