"""How do I write an equation of my own? Fireflies: Kuramoto oscillators on the karate club's graph.

    theta_i' = omega_i + K sum over j of a_ij sin(theta_j - theta_i)

A field is a frozen dataclass with the tensors that the solve uses; the equation makes it with `on`. `check` then tells
whether it keeps what it should. Source: Kuramoto (1975).
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from neuralpde import GraphPDE, check, datasets, simulate


@dataclass(frozen=True, eq=False)
class Coupled:
    source: Tensor
    target: Tensor
    strength: Tensor
    speed: Tensor

    def __call__(self, t: Tensor, theta: Tensor) -> Tensor:
        pull = self.strength * torch.sin(theta[self.source] - theta[self.target])
        return (self.speed + torch.zeros_like(theta)).index_add(0, self.target, pull)


class Kuramoto(GraphPDE):
    def __init__(self, strength: float = 0.3):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(strength, dtype=torch.float64))
        self.speed = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def on(self, graph, u0):
        return Coupled(graph.edge_index[0], graph.edge_index[1], self.strength, self.speed)


graph = datasets.karate_graph()
print(check(Kuramoto(), graph))
u0 = 6.28 * torch.rand(graph.num_nodes, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
times = torch.linspace(0, 8, 200)
with torch.no_grad():
    sim = simulate(Kuramoto(), graph, u0, times)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
left.plot(sim.t, torch.sin(sim.u[..., 0]), lw=0.7)
left.set(xlabel="time", ylabel="sin of the phase", title="34 oscillators")
right.plot(sim.t, torch.exp(1j * sim.u[..., 0]).mean(1).abs())
right.set(xlabel="time", ylabel="order parameter |mean exp(i theta)|", ylim=(0, 1.05), title="they fall into step")
fig.tight_layout()
fig.savefig("kuramoto.png", dpi=120)
