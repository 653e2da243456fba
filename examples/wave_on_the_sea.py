"""When does a long wave reach the Strait of Juan de Fuca? The wave equation on the real sea floor, by leapfrog.

    u'' + s u' = div(g h grad u)

by finite volumes on 2,880 wet cells: coasts reflect, a sponge s at the open edge absorbs.
"""

import matplotlib.pyplot as plt
import torch

from neuralpde import Hamiltonian, Monitor, Wave, datasets, simulate

sea = datasets.salish_sea()
lon, lat = sea.node["lonlat"].T
source = torch.tensor([-125.45, 48.35])
distance = torch.hypot((lon - source[0]) * 73.6e3, (lat - source[1]) * 111.2e3)  # metres, near 48.5 N
u0 = torch.exp(-((distance / 8e3) ** 2)).unsqueeze(1)  # a hill of water, 1 m high

energy = Monitor(Hamiltonian(), every=60.0)
wave = Wave(damping=sea.node["sponge"], mass=sea.node["area"])
times = torch.arange(0, 5401, 30.0)
with torch.no_grad():
    sim = simulate(wave, sea, u0, times, "leapfrog", dt=10.0, monitors=[energy])
print(sim.message)

height = sim.u[..., 0]
arrived = (height.abs() > 0.02).double().argmax(0) * 0.5  # minutes
arrived[height.abs().amax(0) <= 0.02] = torch.nan
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
dots = left.scatter(lon, lat, c=arrived, s=7, cmap="viridis")
left.set(xlabel="longitude (degrees)", ylabel="latitude (degrees)", title="arrival of the wave", facecolor="lightgrey")
left.set_aspect(1.5)
fig.colorbar(dots, ax=left, label="minutes", shrink=0.8)
right.plot(energy.t / 60, energy.values / energy.values[0])
right.set(xlabel="minutes", ylabel="energy / energy at the start", title="the sponge absorbs what leaves", ylim=(0, 1.05))
fig.tight_layout()
fig.savefig("arrival.png", dpi=120)
