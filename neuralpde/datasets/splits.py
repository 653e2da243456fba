"""Which nodes are for training, which for choosing, which for testing: masks that a seed determines."""

from __future__ import annotations

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
