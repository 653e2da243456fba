"""When the host may look at the numbers of a state.

A look at a tensor on a GPU waits for all that was launched before, and is refused while a CUDA graph is captured. Loops of
fixed steps therefore look once, at the end, and not at all under capture.

CUDA graphs. A solve of fixed steps is captured like any other computation, after a few calls that sort the graph's edges and
load the kernels:

    x = torch.zeros_like(u0)                         # where the graph reads from
    def run():
        return solve(field, x, 10.0, "rk4", dt=0.1, save="final", stability_check=False).y[-1]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), torch.no_grad():
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        out = run()

    x.copy_(u0)
    graph.replay()                                   # out is the state at t = 10; nobody has looked whether it is finite

The field is to be made beforehand (its operators sort, bound and check themselves once), and time reaches it as a tensor that
is filled on the device. For training, a module that calls a `PDEBlock` on one graph,

    class OnGraph(nn.Module):
        def __init__(self, block, graph):
            super().__init__()
            self.block, self.graph = block, graph
        def forward(self, x):
            return self.block(x, self.graph)

goes through `torch.cuda.make_graphed_callables(OnGraph(block, graph), (x,))`, the block with a named method, `dt=` and
`stability_check=False`.
Operators that a layer makes while captured do not know their interval nor their signs, and nothing is said of bad weights.

Capturable: every explicit method, Adams included, with `dt=`; symplectic methods; stabilised methods with `stages=` or
`radius=` given; on operators that state their interval and are symmetric, `chebyshev_exp` and the ETD methods, and implicit and
IMEX methods on linear (parts of) fields with `linear_solver=Chebyshev(degree=k)`: k iterations a system, nobody looks at what
they leave. Not: step-size control (one look a step), Newton's method, Krylov solvers and exponentials, preconditioners chosen
by the matrix, uniformisation (it looks for its rate), direct solvers (on the CPU), monitors and callbacks that look, events,
`progress=True`, `method="auto"`.

None of this has been run on a card: it is tested on meta tensors, which have no numbers to look at.
"""

from __future__ import annotations

import torch
from torch import Tensor


def looks_are_cheap(y: Tensor) -> bool:
    """Whether reading a number of `y` makes nobody wait."""
    return y.device.type == "cpu"


def host_may_look(y: Tensor) -> bool:
    """Whether a number of `y` can be read at all now: not under capture, and not of a meta tensor, which has none."""
    if y.is_meta:
        return False
    return looks_are_cheap(y) or not (y.is_cuda and torch.cuda.is_current_stream_capturing())
