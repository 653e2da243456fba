"""Which integrator is cheapest for heat on real terrain? Explicit, implicit, adaptive and multistep ones, side by side.

The elevations of the Jacksboro fault diffuse. Every run is compared with a float64 reference; an explicit step beyond its
stability limit is refused with the limit.
"""

from neuralpde import Diffusion, datasets, plots
from solvers import Run, compare

graph = datasets.jacksboro((80, 80))
u0 = graph.node["elevation"].double().unsqueeze(1)
u0 = (u0 - u0.mean()) / u0.std()
runs = [Run(m, dt=dt) for m in ("rk4", "ab4", "crank_nicolson", "bdf2") for dt in (0.02, 0.2, 1.0)]
runs += [Run(m, rtol=tol) for m in ("dopri5", "tsit5", "trbdf2", "sdirk2") for tol in (1e-2, 1e-3, 1e-4)]
result = compare(Diffusion().on(graph, u0), u0, 20.0, runs)
print(result)
best = result.cheapest(below=1e-4)
print(f"cheapest with an error below 1e-4: {best.method}, {best.seconds:.3f} s")
plots.work_precision(result.records()).savefig("work_precision.png", dpi=120)
