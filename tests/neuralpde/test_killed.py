"""Fits that are killed (SIGKILL, no warning) go on from their checkpoint to the same bits as unbroken ones."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from graph_tasks import batches, labelled_nodes, model, plan
from source_tree import ROOT
from torch import nn

from neuralpde import FitConfig, NodeClassifier, fit
from neuralpde.pdes import GRAND
from neuralpde.training import History, seeded

KINDS = ("classes", "numbers", "labels", "nodes", "horizon")
EPOCHS = 9

SCRIPT = """
    import os, signal, sys
    import torch._dynamo  # which the first optimizer would load, anew in each child
    from test_killed import KINDS, run
    for kind in KINDS:  # no process here has computed anything before it forks
        child = os.fork()
        if child == 0:
            seen = []
            def tell(epoch):
                seen.append(epoch)
                if len(seen) == 5:  # the last checkpoint is of epoch 4
                    os.kill(os.getpid(), signal.SIGKILL)
            run(kind, checkpoint=os.path.join(sys.argv[1], kind + ".pt"), checkpoint_every=2, on_epoch=tell)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (kind, status)
    print("all killed")
"""


def network(kind: str) -> nn.Module:
    if kind in ("nodes", "horizon"):
        with seeded(0):
            return NodeClassifier(3, 3, GRAND(8, source=True), t=1.0, method="rk4", dt=0.5, dropout=0.2)
    return model(kind)


def run(kind: str, resume: str | None = None, on_epoch=None, **more) -> tuple[nn.Module, History]:
    """A fit of each task: graphs' classes and numbers, nodes' labels with penalties, nodes' classes with penalties and with
    time-on-validation; the learning rate falls in all of them."""
    config: FitConfig = plan(kind, epochs=EPOCHS, **more)
    fitted = network(kind)
    data = (labelled_nodes(),) if kind in ("nodes", "horizon") else batches(kind)
    task = "node" if kind in ("nodes", "horizon") else "graph"
    return fitted, fit(fitted, *data, task=task, config=config, resume=resume, on_epoch=on_epoch)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint of each fit, whose processes were killed after five of nine epochs."""
    if not hasattr(os, "fork"):
        pytest.skip("no os.fork here")
    folder = tmp_path_factory.mktemp("killed")
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "neuralpde")]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "all killed" in done.stdout, done.stderr
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_goes_on_to_the_same_bits(kind, killed):
    whole, unbroken = run(kind)
    again, resumed = run(kind, resume=str(killed / f"{kind}.pt"))
    assert len(unbroken.epochs) == EPOCHS
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))
    for name in ("loss", "val_loss", "val_score", "penalty", "lr", "evaluations"):
        assert resumed.series(name) == unbroken.series(name)
    assert [e.time for e in resumed.epochs] == [e.time for e in unbroken.epochs]
    assert resumed.best.epoch == unbroken.best.epoch
    assert len(set(unbroken.series("lr"))) > 1  # the plateau had cut
    assert (max(unbroken.series("penalty")) > 0) == (kind in ("labels", "nodes"))
    assert (unbroken.best.time is not None) == (kind == "horizon")
    seconds = [e.seconds for e in resumed.epochs[:4]]
    assert seconds != [e.seconds for e in unbroken.epochs[:4]]  # these epochs were read from the checkpoint
