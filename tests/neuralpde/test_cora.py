"""GRAND on Cora's public split (140 / 500 / 1,000 nodes of the whole graph), the epoch chosen by validation only.

Needs Cora's raw files under NEURALPDE_DATA. The preset was found on seeds 100 to 103; the seeds here played no part in it.
"""

import os
from dataclasses import replace

import pytest

from neuralpde import evaluate, fit
from neuralpde.datasets import load
from neuralpde.training import preset


@pytest.fixture(scope="module")
def cora(tmp_path_factory):
    if not os.environ.get("NEURALPDE_DATA"):
        pytest.skip("NEURALPDE_DATA is not set: nothing is trained on Cora")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURALPDE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load("cora", split="public")


def accuracy(data, model: str, seed: int, epochs: int | None = None) -> float:
    settings = preset("cora", model).for_seed(seed)
    network = settings.build(data.num_features, 7, seed)
    config = settings.config if epochs is None else replace(settings.config, epochs=epochs)
    fit(network, data, config=config)
    return evaluate(network, data, data.test_mask)


def test_grand_learns_cora_in_a_few_epochs(cora):
    """Two runs of 25 epochs: 83.1 and 81.8 % were measured."""
    assert sum(accuracy(cora, "grand", seed, epochs=25) for seed in (0, 1)) / 2 >= 0.80


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_grand_reaches_81_percent_over_five_seeds(cora):
    """82.6, 82.0, 81.8, 81.6 and 83.3 % were measured, mean 82.3 %."""
    assert sum(accuracy(cora, "grand", seed) for seed in range(5)) / 5 >= 0.81
