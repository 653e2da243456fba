"""One step of training a node classifier: forward, loss on the labelled nodes, backward, Adam."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def training_step(model: nn.Module, inputs: tuple, labels: Tensor, train: Tensor) -> Callable[[], Tensor]:
    """A callable that does one step and returns the loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)  # the work of a step, and the same work in every round
    model.train()

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(*inputs)[train], labels[train])
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def gradients(model: nn.Module, inputs: tuple, labels: Tensor, train: Tensor) -> dict[str, Tensor]:
    """The gradient of every parameter, without dropout."""
    model.eval()
    names, parameters = zip(*model.named_parameters(), strict=True)
    loss = F.cross_entropy(model(*inputs)[train], labels[train])
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
