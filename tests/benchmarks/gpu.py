"""The kernels on a GPU: bytes a second against the card's copy, ratios against PyG, a captured solve against a launched one.

    python tests/benchmarks/gpu.py [--device cuda] [--tiny]

Nobody has run this on a card yet: there are no figures. With `--device cpu --tiny` it shows that it works. Times are of the
device's own clock (of the host's on a CPU), interleaved: every candidate runs once in a round, and ratios are taken within it.

The bytes of a product are those that its gathers read and its result takes, `4 E C + 12 E + 4 N C`, and at the least each array
once, `8 N C + 12 E`: caches lie between. To reach, on the arxiv-like graph: 0.6 of the copy's rate by the second count.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.graphs import Sample, measured_on
from benchmarks.peers import ScaledDotAttention, WeightedSum
from benchmarks.plan import PLANS

from neuralpde.operators import Attention
from solvers import LinearFlow, SparseOperator, sddmm, solve

OURS, PEER, COPY = "ours", "PyG MessagePassing", "copy"
SHARE = "of the copy's rate"
HEADS = 2
Work = Callable[[], object]


def seconds_of(work: Work, device: torch.device, repeats: int) -> float:
    """Of one call, the mean of some."""
    if device.type != "cuda":
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        return (time.perf_counter() - start) / repeats
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / repeats


def interleaved(candidates: Mapping[str, Work], device: torch.device, rounds: int, repeats: int) -> dict[str, np.ndarray]:
    """Seconds of every candidate in every round, after three calls of each."""
    for work in candidates.values():
        for _ in range(3):
            work()
    found = [[seconds_of(work, device, repeats) for work in candidates.values()] for _ in range(rounds)]
    return {name: np.array(column) for name, column in zip(candidates, zip(*found, strict=True), strict=True)}


def line(name: str, graph: str, values: np.ndarray, unit: str) -> None:
    """Median and quartiles."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    print(f"{name:44s} {graph:12s} {median:9.3g} [{low:.3g} .. {high:.3g}] {unit}", flush=True)


def rates(sample: Sample, A: SparseOperator, x: Tensor, timed: Callable[[dict[str, Work]], dict[str, np.ndarray]]) -> None:
    """The product, the sampled product and their shares of the copy's rate."""
    target, (n, c), entries = torch.empty_like(x), x.shape, len(A.pattern)
    with torch.no_grad():
        works: dict[str, Work] = {
            "product": lambda: A.matvec(x), "sampled product": lambda: sddmm(A.pattern, x, x), COPY: lambda: target.copy_(x)
        }  # fmt: skip
        found = timed(works)
    copied = 8 * n * c / found[COPY]
    line("copy", sample.name, copied / 1e9, "GB/s")
    gathers = {"product": 4 * n * c, "sampled product": 4 * entries * c}
    for name, more in gathers.items():
        line(
            f"{name}, gathers",
            sample.name,
            (4 * entries * c + 12 * entries + more) / found[name] / copied,
            "of the copy's rate",
        )
        line(f"{name}, each array once", sample.name, (8 * n * c + 12 * entries) / found[name] / copied, "of the copy's rate")


def ratios(sample: Sample, A: SparseOperator, x: Tensor, timed: Callable[[dict[str, Work]], dict[str, np.ndarray]]) -> None:
    """Forward, forward and backward, attention: PyG's time over ours."""
    edges, messages, g = torch.stack((A.pattern.cols, A.pattern.rows)), WeightedSum(), torch.randn_like(x)
    with torch.no_grad():
        found = timed({OURS: lambda: A.matvec(x), PEER: lambda: messages(x, edges, A.values)})
    line("A x forward", sample.name, found[PEER] / found[OURS], "times PyG")
    u, v = x.clone().requires_grad_(), A.values.clone().requires_grad_()
    found = timed(
        {
            OURS: lambda: torch.autograd.grad(SparseOperator(A.pattern, v).matvec(u), (u, v), g),
            PEER: lambda: torch.autograd.grad(messages(u, edges, v), (u, v), g),
        }
    )
    line("A x forward + backward", sample.name, found[PEER] / found[OURS], "times PyG")
    peer = ScaledDotAttention(x.shape[1], HEADS, 16 * HEADS).to(x.device)
    wanted = [u, *peer.parameters()]
    found = timed(
        {
            OURS: lambda: torch.autograd.grad(
                Attention(sample.graph, peer.query(u), peer.key(u), heads=HEADS).matvec(u), wanted, g
            ),
            PEER: lambda: torch.autograd.grad(peer(u, edges, peer.weights(u, edges)), wanted, g),
        }
    )
    line("attention forward + backward", sample.name, found[PEER] / found[OURS], "times PyG")


def captured(sample: Sample, A: SparseOperator, x: Tensor, timed: Callable[[dict[str, Work]], dict[str, np.ndarray]]) -> None:
    """A hundred steps of rk4, launched one by one and as a CUDA graph: the result is the same, the launches are not."""
    field = LinearFlow(A)

    def run(x: Tensor) -> Tensor:
        return solve(field, x, 1.0, "rk4", dt=0.01, save="final", stability_check=False).y[-1]

    with torch.no_grad():
        work = partial(run, x)
        if x.is_cuda:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    run(x)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                out = run(x)
            work = graph.replay
            work()
            torch.testing.assert_close(out, run(x))
        found = timed({"launched": lambda: run(x), "captured": work})
    line("rk4, launched over captured", sample.name, found["launched"] / found["captured"], "times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="graphs of a few nodes: to see that it works")
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no CUDA device here; --device cpu --tiny shows that this works")
    print(torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU", torch.__version__)

    def timed(works: dict[str, Work]) -> dict[str, np.ndarray]:
        return interleaved(works, device, *((1, 1) if args.tiny else (15, 10)))

    for sample in measured_on(PLANS["tiny" if args.tiny else "full"]):
        there = replace(sample, graph=sample.graph.to(device))
        A, x = there.operator(), sample.state().to(device)
        for part in (rates, ratios, captured):
            part(there, A, x, timed)


if __name__ == "__main__":
    main()
