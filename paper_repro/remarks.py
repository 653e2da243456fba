"""What was found out about cells that are not met: it stands beside them in README.md."""

from __future__ import annotations

from collections.abc import Mapping

from claims import Claim

REMARKS: Mapping[tuple[str, str, str], str] = {}
"""(model, data set, protocol) -> the finding, or where it stands."""


def remark(claim: Claim) -> str:
    """The finding beside a cell, or an empty text."""
    return REMARKS.get((claim.model, claim.dataset, claim.protocol), "")
