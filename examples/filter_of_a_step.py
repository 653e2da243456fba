"""What does one step of an integrator do to the frequencies of a graph? It multiplies each by R(dt lambda).

For heat u' = -L u with the normalised Laplacian: explicit Euler is a graph convolution, implicit Euler is personalised
PageRank, a stabilised method is a polynomial of many hops, and the exact flow is the heat kernel.
"""

import matplotlib.pyplot as plt
import torch

from neuralpde import Laplacian, datasets
from solvers import RK4, RKC2, CrankNicolson, Euler, ImplicitEuler, filter_of

graph = datasets.karate_graph()
eigenvalues = torch.linalg.eigvalsh(Laplacian(graph, "sym", dtype=torch.float64).to_dense())
fine = torch.linspace(0, 2, 200, dtype=torch.float64)
dt = 1.5
methods = {
    "explicit Euler: one graph convolution": Euler(),
    "Runge-Kutta 4: four hops": RK4(),
    "RKC with 4 stages: four hops, for longer steps": RKC2(stages=4),
    "implicit Euler: personalised PageRank": ImplicitEuler(),
    "Crank-Nicolson": CrankNicolson(),
}
fig, ax = plt.subplots(figsize=(7.5, 4.5))
ax.plot(fine, torch.exp(-dt * fine), "k", lw=2.5, alpha=0.4, label="exact: the heat kernel exp(-dt lambda)")
for label, method in methods.items():
    step = filter_of(method, dt)
    (line,) = ax.plot(fine, step(-fine).real, label=label)
    ax.plot(eigenvalues, step(-eigenvalues).real, "o", ms=3, color=line.get_color())
ax.axhline(-1, color="grey", lw=0.6, ls=":")
ax.set(xlabel="eigenvalue lambda of the graph (dots: the karate club's)", ylabel="factor R(-dt lambda) of one step")
ax.set(title=f"one step of dt = {dt:g} as a spectral filter", ylim=(-2.1, 1.1))
ax.legend(fontsize=8, loc="lower left")
fig.tight_layout()
fig.savefig("filters.png", dpi=120)
