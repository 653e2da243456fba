"""Which values are among the strongest of their group."""

from __future__ import annotations

from torch import Tensor


def strongest(values: Tensor, group: Tensor, groups: int, share: float) -> Tensor:
    """Whether a value is at least the quantile of order `share` of its group, `[n]` bool.

    The threshold is the value at place floor(share n_g) of the n_g sorted ones (from 0), so that at most that share is below
    it; of equal values either none or all are kept. No gradient passes.

    Args:
        values: `[n]`.
        group: of each value, `[n]`, below `groups`.
        groups: how many there are.
        share: in [0, 1).
    """
    plain = values.detach()
    if not len(plain):
        return plain.bool()
    count = group.bincount(minlength=groups)
    by_value = plain.argsort(stable=True)
    order = by_value[group[by_value].argsort(stable=True)]  # group by group, in each by value
    place = count.cumsum(0) - count + (share * count).long()
    threshold = plain[order[place.clamp(max=len(order) - 1)]]  # of an empty group nobody asks
    return plain >= threshold[group]
