"""Do neighbours help when there are three labels per digit? Diffusion between encoder and decoder, for several times.

1,797 images of digits, each joined to its eight nearest. The same small model with t = 0 is a network without a graph.
"""

import matplotlib.pyplot as plt
import torch

from neuralpde import Diffusion, FitConfig, NodeClassifier, datasets, evaluate, fit

times, seeds = [0.0, 1.0, 4.0, 16.0], range(2)
accuracy = torch.zeros(len(times), len(seeds))
for i, t in enumerate(times):
    for seed in seeds:
        data = datasets.digits_knn(labels_per_class=3, seed=seed)
        torch.manual_seed(seed)
        pde = Diffusion(normalization="sym")
        model = NodeClassifier(64, 10, pde, t=max(t, 1e-6), method="implicit_euler", dt=max(t, 1e-6) / 2, hidden=32)
        fit(model, data, config=FitConfig(epochs=30, seed=seed))
        accuracy[i, seed] = evaluate(model, data, data.test_mask)
    print(f"t = {t:4g}: test accuracy {accuracy[i].mean():.3f} +- {accuracy[i].std():.3f}")

fig, ax = plt.subplots(figsize=(6, 4))
ax.errorbar(range(len(times)), accuracy.mean(1), accuracy.std(1), fmt="o-", capsize=4)
ax.set_xticks(range(len(times)), [f"{t:g}" for t in times])
ax.set(xlabel="time of diffusion", ylabel="test accuracy", title="digits, 3 labels each, mean and spread of two seeds")
fig.tight_layout()
fig.savefig("digits.png", dpi=120)
