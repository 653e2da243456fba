"""What a fit minimises, and the score by which its epochs are compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from solvers import unknown


class Objective(ABC):
    """A loss for every row (a node or a graph), and counts from whose sums over a whole set its score follows.

    A score such as F1 is no mean over batches; so batches add up counts, and the score is taken once, at the end.

    Attributes:
        name: in `FitConfig.objective`.
        metric: the score in words.
        larger: whether a larger score is a better one.
    """

    name: str
    metric: str
    larger: bool

    @abstractmethod
    def losses(self, out: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """The loss of each row, `[rows]`; 0 where it is not known.

        Args:
            out: what the model gives, `[rows, outputs]`.
            y: what it should give.
            known: `[rows]` bool; y is looked at there only.
        """

    @abstractmethod
    def counts(self, out: Tensor, y: Tensor, known: Tensor) -> Sequence[Tensor]:
        """What is summed over the set for the score, `[rows]` each; 0 where a row is not known."""

    @abstractmethod
    def score(self, rows: Tensor, totals: Sequence[Tensor]) -> Tensor:
        """The score of a set.

        Args:
            rows: how many there are in it, a scalar.
            totals: the sums of `counts`, scalars.
        """


class Classes(Objective):
    """One class of several: `-log softmax(out)[y]`; accuracy, the share of rows whose largest output is y's."""

    name, metric, larger = "classes", "accuracy", True

    def losses(self, out: Tensor, y: Tensor, known: Tensor) -> Tensor:
        y = _rows(out, y, 1).reshape(-1)
        return F.cross_entropy(out, torch.where(known, y, -100), reduction="none", ignore_index=-100)

    def counts(self, out: Tensor, y: Tensor, known: Tensor) -> Sequence[Tensor]:
        return [((out.argmax(-1) == y.reshape(-1)) & known).to(out.dtype)]

    def score(self, rows: Tensor, totals: Sequence[Tensor]) -> Tensor:
        return totals[0] / rows


class Labels(Objective):
    """Any number of labels at once: binary cross-entropy, the mean over labels; micro F1 over all rows and labels.

        F1 = 2 TP / (2 TP + FP + FN),   a label is predicted where its output is positive

    Where no label is there and none is predicted F1 is 0, as in scikit-learn.
    """

    name, metric, larger = "labels", "micro F1", True

    def losses(self, out: Tensor, y: Tensor, known: Tensor) -> Tensor:
        y = _rows(out, y, out.size(-1)).reshape(out.shape).to(out.dtype)
        y = torch.where(known.unsqueeze(-1), y, 0)
        return torch.where(known, F.binary_cross_entropy_with_logits(out, y, reduction="none").mean(-1), 0)

    def counts(self, out: Tensor, y: Tensor, known: Tensor) -> Sequence[Tensor]:
        said, there = (out > 0) & known.unsqueeze(-1), (y.reshape(out.shape) > 0.5) & known.unsqueeze(-1)
        return [x.to(out.dtype).sum(-1) for x in (said & there, said ^ there)]

    def score(self, rows: Tensor, totals: Sequence[Tensor]) -> Tensor:
        right, wrong = totals
        return 2 * right / (2 * right + wrong).clamp_min(1)


class _Numbers(Objective):
    """Numbers: the mean over the numbers of a row; the score is its mean over the rows."""

    larger = False

    @abstractmethod
    def each(self, errors: Tensor) -> Tensor:
        """What every error counts."""

    def losses(self, out: Tensor, y: Tensor, known: Tensor) -> Tensor:
        return torch.where(known, self.each(_errors(out, y, known)).mean(-1), 0)

    def counts(self, out: Tensor, y: Tensor, known: Tensor) -> Sequence[Tensor]:
        return [self.losses(out, y, known)]

    def score(self, rows: Tensor, totals: Sequence[Tensor]) -> Tensor:
        return totals[0] / rows


class AbsoluteError(_Numbers):
    """`|out - y|`, the mean over the numbers of a row; the score is its mean over the rows, MAE."""

    name, metric = "mae", "MAE"

    def each(self, errors: Tensor) -> Tensor:
        return errors.abs()


class SquaredError(_Numbers):
    """`(out - y)^2`, the mean over the numbers of a row; the score is its mean over the rows, MSE."""

    name, metric = "mse", "MSE"

    def each(self, errors: Tensor) -> Tensor:
        return errors.square()


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {o.name: o for o in (Classes(), Labels(), AbsoluteError(), SquaredError())}
)
"""Every objective, by the name that `FitConfig.objective` takes."""

CLASSES = OBJECTIVES["classes"]


def objective_named(name: str) -> Objective:
    """The objective of that name; ValueError with the nearest ones if there is none."""
    if name not in OBJECTIVES:
        raise unknown("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def _errors(out: Tensor, y: Tensor, known: Tensor) -> Tensor:
    y = _rows(out, y, out.size(-1)).reshape(out.shape).to(out.dtype)
    return out - torch.where(known.unsqueeze(-1), y, 0)


def _rows(out: Tensor, y: Tensor, each: int) -> Tensor:
    """The labels, if there are `each` of them for every row of the output."""
    if out.dim() != 2 or y.numel() != out.size(0) * each:
        many = "one label" if each == 1 else f"{each} labels"
        raise ValueError(
            f"the model gives {tuple(out.shape)} and the labels y are {tuple(y.shape)}; expected {many} for each of its rows "
            "(nodes, or graphs): does each batch carry y, and is FitConfig.objective the right one?"
        )
    return y
