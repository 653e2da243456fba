"""Do oscillators keep features apart where a GCN smooths them away? It depends on the damping: look at four numbers.

A deep untrained network on the karate club's graph, layer by layer: a GCN, and GraphCON (one step of symplectic Euler a
layer) without damping and with it. Energy alone misleads: beside it stand the Rayleigh quotient, the norm and the rank.
"""

import torch

from neuralpde import GCN, DirichletEnergy, EffectiveRank, GraphCON, Monitor, Norm, RayleighQuotient, datasets, plots, simulate

graph = datasets.karate_graph()
torch.manual_seed(0)
u0 = torch.rand(graph.num_nodes, 16)
depth, dt = 100, 0.1


def watchers():
    return [Monitor(o) for o in (DirichletEnergy(), RayleighQuotient(), Norm(), EffectiveRank())]


def layers_of_gcn():
    """The same monitors, fed by hand with the output of every layer."""
    torch.manual_seed(1)
    convs = GCN(16, 16, hidden=16, layers=depth, dropout=0.0).convs
    recorded, u = watchers(), u0
    for m in recorded:
        m.attach(graph, None, (0.0, float(depth)))
        m.after(0.0, u, 0.0)
    for i, conv in enumerate(convs):
        u = torch.relu(conv(u, graph.edge_index))
        for m in recorded:
            m.after((i + 1) * dt, u, dt)
    return recorded


runs = {}
with torch.no_grad():
    runs["GCN"] = layers_of_gcn()
    for alpha in (0.0, 1.0):
        torch.manual_seed(1)
        pde, monitors = GraphCON(16, coupling="gcn", alpha=alpha, gamma=1.0), watchers()
        simulate(pde, graph, u0, depth * dt, "symplectic_euler", dt=dt, monitors=monitors)
        runs[f"GraphCON, damping {alpha:g}"] = monitors
for label, monitors in runs.items():
    first_last = ", ".join(f"{m.name} {m.values[0].item():.2g} -> {m.values[-1].item():.2g}" for m in monitors)
    print(f"{label}: {first_last}")
plots.energies(runs, xlabel=f"time ({dt:g} a layer)").savefig("depth.png", dpi=120)
