"""Does code that was written for torchdiffeq run here? Change one import; then ask for what it does not have.

A small neural differential equation is fitted to a spiral with `odeint` as it would be with torchdiffeq; then the same field
is solved by an implicit method with statistics, and drawn.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from solvers import odeint, solve  # was: from torchdiffeq import odeint

torch.manual_seed(0)
matrix = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
y0, t = torch.tensor([[2.0, 0.0]]), torch.linspace(0, 10, 60)
with torch.no_grad():
    truth = odeint(lambda s, y: y**3 @ matrix, y0, t, rtol=1e-6, atol=1e-6)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2))

    def forward(self, s, y):
        return self.layers(y**3)


net = Net()
optimizer = torch.optim.Adam(net.parameters(), 1e-2)
for _ in range(120):
    start = torch.randint(0, 50, (8,))
    batch = torch.stack([truth[start + i] for i in range(10)])
    optimizer.zero_grad()
    loss = (odeint(net, batch[0], t[:10], method="rk4") - batch).abs().mean()
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.3f}")

with torch.no_grad():
    sol = solve(net, y0, t, "trbdf2", rtol=1e-4)
print(sol.message, sol.stats)
fig, ax = plt.subplots(figsize=(5, 5))
ax.plot(*truth[:, 0].T, "k", lw=1, label="truth")
ax.plot(*sol.y[:, 0].T, "--", label="learned, solved by TR-BDF2")
ax.set(xlabel="first component", ylabel="second component")
ax.legend()
fig.tight_layout()
fig.savefig("spiral.png", dpi=120)
