"""Heat on graphs by the exact flow, against torchdiffeq's dopri5 on the same product: products, seconds, error, memory.

    u' = -c L u,   t in [0, 4],   float32, tolerance 1e-4

on a random geometric graph of 20,000 nodes and about 400,000 directed edges with 64 channels (forward, and with gradients to
the initial state and to c), and on a power-law graph whose largest eigenvalue is over 2,000 with 8 channels (forward).

    OMP_NUM_THREADS=1 python tests/benchmarks/heat_flow.py

Every run is a process of its own, so that its growth of resident memory is its own; the rows follow one another in one
command. Ratios between rows mean something, seconds do not.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from solvers import LinearFlow, LinearOperator, Pattern, SparseOperator, solve

TOLERANCE, END = 1e-4, 4.0
ROWS = [  # graph, method, with gradients
    ("geometric", "chebyshev_exp", False),
    ("geometric", "krylov_exp", False),
    ("geometric", "uniformization", False),
    ("geometric", "dopri5", False),
    ("geometric", "torchdiffeq dopri5", False),
    ("geometric", "chebyshev_exp", True),
    ("geometric", "torchdiffeq dopri5", True),
    ("power law", "chebyshev_exp", False),
]


def geometric(nodes: int = 20_000, degree: float = 20.0) -> tuple[np.ndarray, np.ndarray, int]:
    """Points on the unit torus, joined where they are near: both directions of every edge."""
    points = np.random.default_rng(0).random((nodes, 2))
    pairs = cKDTree(points, boxsize=1.0).query_pairs(math.sqrt(degree / (math.pi * nodes)), output_type="ndarray")
    return np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]]), nodes


def power_law(nodes: int = 20_000, edges: int = 100_000, exponent: float = 0.68) -> tuple[np.ndarray, np.ndarray, int]:
    """Ends drawn with probabilities `i^-exponent`: a few hubs of thousands of neighbours."""
    draw = np.random.default_rng(0)
    weight = np.arange(1, nodes + 1) ** -exponent
    a, b = draw.choice(nodes, (2, edges), p=weight / weight.sum())
    keys = np.unique(np.minimum(a, b) * nodes + np.maximum(a, b))
    a, b = keys // nodes, keys % nodes
    a, b = a[a != b], b[a != b]
    return np.concatenate([a, b]), np.concatenate([b, a]), nodes


def generator(graph: str, dtype: torch.dtype) -> SparseOperator:
    """-L, with the bound of its spectrum `max over i of (d_i + mean degree of the neighbours)` (Merris 1998)."""
    source, target, n = geometric() if graph == "geometric" else power_law()
    rows, cols = (
        torch.from_numpy(np.concatenate([target, np.arange(n)])),
        torch.from_numpy(np.concatenate([source, np.arange(n)])),
    )
    degree = np.bincount(target, minlength=n).astype(float)
    neighbours = np.bincount(target, degree[source], minlength=n) / np.maximum(degree, 1)
    values = torch.from_numpy(np.concatenate([np.ones(len(source)), -degree])).to(dtype)
    bound = float((degree + neighbours).max())
    return SparseOperator(Pattern(rows, cols, n, n), values, symmetric=True, metzler=True, interval=(-bound, 0.0))


class Counted:
    """The same product as a field for torchdiffeq, counted in both directions."""

    def __init__(self, A: LinearOperator):
        self.A, self.products = A, 0

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        self.products += 1
        return self.A.matvec(y)


def run(graph: str, method: str, gradients: bool) -> dict[str, object]:
    """One row, in this process."""
    L = generator(graph, torch.float32)
    channels = 64 if graph == "geometric" else 8
    draw = torch.Generator().manual_seed(1)
    y0, weight = (torch.randn(L.shape[0], channels, generator=draw) for _ in range(2))
    c = torch.tensor(1.0, requires_grad=gradients)
    y0.requires_grad_(gradients)
    L.matvec(y0.detach())  # sorts the pattern
    torch.ones(2, requires_grad=True).square().sum().backward()  # the first backward pass of a process loads modules
    before = resident()
    start = time.process_time()
    A = c * L if gradients else L
    if method.startswith("torchdiffeq"):
        from torchdiffeq import odeint

        field = Counted(A)
        y = odeint(field, y0, torch.tensor([0.0, END]), rtol=TOLERANCE, atol=TOLERANCE, method="dopri5")[-1]
        products = field.products
    else:
        sol = solve(LinearFlow(A), y0, END, method, rtol=TOLERANCE, save="final")
        y, products = sol.y[-1], sol.stats.products + sol.stats.evaluations
    row: dict[str, object] = {"products": products}
    if gradients:
        (y * weight).sum().backward()
    row["seconds"] = time.process_time() - start
    row["MB"] = peak() - before
    exact = reference(graph, y0.detach(), weight)
    if y0.grad is not None and c.grad is not None:
        row["gradient y0"] = float((y0.grad - exact["y0"]).norm() / exact["y0"].norm())
        row["gradient c"] = abs(float(c.grad) - float(exact["c"])) / abs(float(exact["c"]))
    difference = (y.detach() - exact["y"]).double()
    row["error"] = float(difference.norm() / exact["y"].double().norm())
    row["largest"] = float(difference.abs().max())
    return row


def resident() -> float:
    """Memory in use now, in MB; the record of its peak starts anew from here (Linux)."""
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not to be counted as free later
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def peak() -> float:
    """The largest memory in use since `resident`, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def reference(graph: str, y0: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """`exp(4 A) y0`, `exp(4 A) w` and `<w, 4 A exp(4 A) y0>` in double precision, from a file if there is one."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / "neuralpde-heat-flow"
    path = folder / f"{graph.replace(' ', '_')}.pt"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        A = generator(graph, torch.float64)
        both = torch.cat([y0, weight], -1).double()
        y, back = solve(LinearFlow(A), both, END, "chebyshev_exp", rtol=1e-12, save="final").y[-1].chunk(2, -1)
        found = {"y": y.float(), "y0": back.float(), "c": (weight * END * A.matvec(y.contiguous())).sum()}
        torch.save(found, path)
    return torch.load(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", type=int, help="run one row here and print it as JSON")
    chosen = parser.parse_args().row
    if chosen is not None:
        print(json.dumps(run(*ROWS[chosen])))
        return
    for graph in ("geometric", "power law"):
        L = generator(graph, torch.float32)
        edges = len(L.pattern) - L.shape[0]
        print(f"{graph}: {L.shape[0]} nodes, {edges} directed edges, lambda_max <= {-L.bounds()[0]:.4g}")
    subprocess.run([sys.executable, __file__, "--row", "0"], capture_output=True, check=True)  # makes the references
    subprocess.run([sys.executable, __file__, "--row", "7"], capture_output=True, check=True)
    print(f"{'graph':10} {'method':20} {'':9} {'products':>8} {'s':>8} {'ratio':>8} {'error':>8} {'largest':>8} {'MB':>7}")
    done = []
    for i, (graph, method, gradients) in enumerate(ROWS):
        out = subprocess.run([sys.executable, __file__, "--row", str(i)], capture_output=True, text=True, check=True)
        done.append((graph, method, gradients, json.loads(out.stdout.splitlines()[-1])))
    anchors = {(g, grad): row["seconds"] for g, m, grad, row in done if m.startswith("torchdiffeq")}
    for graph, method, gradients, row in done:
        anchor = anchors.get((graph, gradients))
        ratio = f"1/{anchor / row['seconds']:.1f}" if anchor else "-"
        tail = f"y0 {row['gradient y0']:.1e}, c {row['gradient c']:.1e}" if gradients else ""
        what = f"{graph:10} {method:20} {'+backward' if gradients else '':9}"
        print(
            f"{what} {row['products']:8d} {row['seconds']:8.3f} {ratio:>8} "
            f"{row['error']:8.1e} {row['largest']:8.1e} {row['MB']:7.1f}  {tail}"
        )


if __name__ == "__main__":
    main()
