"""Can an unknown conductivity be recovered from a few temperatures? Through an implicit solver, by gradient descent.

Half of a plate conducts ten times better than the other half. Temperatures at 200 of its 576 points and four times are
known; the conductivity of every edge is learned. Each implicit step is differentiated by one transposed linear solve.
"""

import matplotlib.pyplot as plt
import torch

from neuralpde import Diffusion, Graph, simulate

graph = Graph.grid(24, 24)
generator = torch.Generator().manual_seed(0)
u0 = torch.rand(graph.num_nodes, 8, dtype=torch.float64, generator=generator)
column = torch.arange(graph.num_nodes) % 24
middle = (column[graph.edge_index[0]] + column[graph.edge_index[1]]) / 2
truth = torch.where(middle < 11.5, 1.0, 0.1).double()
seen = torch.randperm(graph.num_nodes, generator=generator)[:200]
times = [0.0, 0.25, 0.5, 1.0, 2.0]


def temperatures(pde):
    return simulate(pde, graph, u0, times, "trbdf2", dt=0.125).u[1:, seen]


with torch.no_grad():
    data = temperatures(Diffusion(truth))
model = Diffusion(torch.full_like(truth, 0.4), learnable=True)
optimizer = torch.optim.Adam(model.parameters(), 0.05)
losses = []
for _ in range(60):
    optimizer.zero_grad()
    loss = (temperatures(model) - data).square().mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

learned = model.conductivity().detach()
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
left.semilogy(losses)
left.set(xlabel="iteration", ylabel="mean squared error of the temperatures")
for value, label in ((True, "conductivity 1"), (False, "conductivity 0.1")):
    right.hist(learned[(truth == 1.0) == value].numpy(), bins=40, range=(0, 1.5), alpha=0.7, label=label)
right.set(xlabel="learned conductivity of an edge", ylabel="edges")
right.legend(title="truth")
fig.tight_layout()
fig.savefig("conductivity.png", dpi=120)
print(f"median of the good half {learned[truth == 1].median():.2f}, of the bad half {learned[truth < 1].median():.2f}")
