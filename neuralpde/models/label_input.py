"""Known labels among the features: some of the training nodes show theirs, and the others are asked for theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..graph import Graph, as_graph

if TYPE_CHECKING:
    from torch_geometric.data import Data


class LabelInput(nn.Module):
    """`model(x, onehot(y) known)`: in training a random share of the training nodes is known, in evaluation all of them are.

    The loss is over the training nodes that were not shown (`asked`); a model that is asked for what it was shown learns to
    copy. Nodes outside of the training set are never shown. The data carry `y` and `train_mask`.

    Args:
        model: takes `channels + classes` features.
        classes: how many there are.
        share: of the training nodes that are shown in each training pass.

    Attributes:
        asked: of the last training pass, `[nodes]` bool; None before the first.

    Reference: Wang, Jin, Zhang, Yang, Chen, Wu, Wipf (2021), Bag of tricks for node classification with graph neural networks.
    """

    def __init__(self, model: nn.Module, classes: int, share: float = 0.5):
        super().__init__()
        if not 0 < share < 1:
            raise ValueError(f"share = {share}; expected 0 < share < 1, the training nodes that show their labels")
        self.model, self.classes, self.share = model, classes, share
        self.asked: Tensor | None = None

    def forward(self, data: Graph | Data) -> Tensor:
        """What the model gives for the features and the labels that are shown."""
        graph = as_graph(data)
        lacking = [name for name in ("x", "y", "train_mask") if name not in graph.node]
        if lacking:
            raise ValueError(f"{graph} has no {', '.join(lacking)}; known labels are those of the training nodes")
        x, y, train = graph.node["x"], graph.node["y"].reshape(-1), graph.node["train_mask"]
        shown = train
        if self.training:
            shown = train & (torch.rand(train.shape, device=train.device) < self.share)
            self.asked = train & ~shown
        labels = F.one_hot(torch.where(shown, y, 0), self.classes).to(x.dtype) * shown.unsqueeze(1)
        return self.model(graph.with_node(x=torch.cat([x, labels], 1)))
