"""What does a PyG convolution do if it is iterated for ever? Read it as a differential equation and watch.

    u' = tanh(conv(u)) - u

An untrained GCN, GAT and SAGE convolution on the karate club's graph, each as the right-hand side of an equation: the
Dirichlet energy says how much neighbours still differ, the norm how much is left at all.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch_geometric.nn import GATConv, GCNConv, SAGEConv

from neuralpde import DirichletEnergy, Monitor, Norm, datasets, from_conv, simulate
from neuralpde.pdes import GraphPDE


class Relaxing(GraphPDE):
    def __init__(self, conv: nn.Module):
        super().__init__()
        self.inner = from_conv(conv)

    def on(self, graph, u0):
        field = self.inner.on(graph, u0)
        return lambda t, u: torch.tanh(field(t, u)) - u


graph = datasets.karate_graph()
torch.manual_seed(0)
u0 = torch.randn(graph.num_nodes, 16)
fig, axes = plt.subplots(1, 2, figsize=(10, 4))
for conv in (GCNConv(16, 16), GATConv(16, 16), SAGEConv(16, 16)):
    energy, norm = Monitor(DirichletEnergy(), every=0.5), Monitor(Norm(), every=0.5)
    with torch.no_grad():
        sim = simulate(Relaxing(conv), graph, u0, 20.0, "tsit5", monitors=[energy, norm])
    print(type(conv).__name__, sim.message)
    axes[0].semilogy(energy.t, energy.values, label=type(conv).__name__)
    axes[1].semilogy(norm.t, norm.values)
axes[0].set(xlabel="time", ylabel="Dirichlet energy")
axes[1].set(xlabel="time", ylabel="norm of the features")
axes[0].legend()
fig.tight_layout()
fig.savefig("convolutions.png", dpi=120)
