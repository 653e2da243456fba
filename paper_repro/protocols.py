"""How accuracies are taken: which nodes train, choose and test; and on which splits and seeds settings are tuned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graph_sources import GraphData

from neuralpde.training import Named

Split = str | int | tuple[str, int]
TUNING_SEEDS = (100, 101)
"""Of weights, and of splits where these are drawn; what is reported starts at 0."""


@dataclass(frozen=True)
class Protocol:
    """One way of splitting.

    Args:
        name: of the results file.
        title: what it is, in words.
        kind: as `datasets.load` calls the split.
        component: all nodes, or the largest connected component.
        most: how many splits there are; None for as many as are drawn.
        graphs: whether the data set is one of many graphs.
    """

    name: str
    title: str
    kind: str
    component: Literal["all", "largest"]
    most: int | None = None
    graphs: bool = False

    def reported(self, count: int) -> list[Split]:
        """The first `count` splits."""
        count = count if self.most is None else min(count, self.most)
        return [self.kind] if self.most == 1 else [(self.kind, i) for i in range(count)]

    def tuning(self) -> list[Split]:
        """Others, where there are others; else the published ones, of which a search sees no test set."""
        if self.most is None:
            return [(self.kind, seed) for seed in TUNING_SEEDS]
        return self.reported(3)

    def source(self, dataset: str) -> Named | GraphData:
        """The labelled graph, or the graphs."""
        return GraphData(dataset) if self.graphs else Named(dataset, component=self.component)


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol("public", "the public split of the full graph (20 a class / 500 / 1000)", "public", "all", 1),
        Protocol("shchur", "Shchur's random splits, 20 / 30 a class / rest, largest component", "random", "largest"),
        Protocol(
            "development",
            "Gasteiger's random splits, 20 a class and the rest of 1500 development nodes (Coauthor: 5000) / all others, "
            "largest component",
            "development",
            "largest",
        ),
        Protocol("geom-gcn", "the ten Geom-GCN splits", "geom-gcn", "all", 10),
        Protocol("time", "the split of OGB, by the year of a paper", "public", "all", 1),
        Protocol(
            "graphs",
            "the data set's own sets of graphs (MNIST: some of the training images validate)",
            "random",
            "all",
            1,
            True,
        ),
    )
}
