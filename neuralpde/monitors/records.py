"""Records in files: one series per column, one time per row."""

from __future__ import annotations

import csv
import json
import math
from os import PathLike
from pathlib import Path

from torch import Tensor


def write_csv(path: str | PathLike[str], name: str, t: Tensor, values: Tensor) -> Path:
    """Columns `t` and the name, or `name[0]`, `name[1]`, ... for a batch; all digits, `nan` and `inf` as words."""
    rows = values.detach().flatten(1).tolist()
    width = len(rows[0]) if rows else 1
    names = [name] if width == 1 else [f"{name}[{i}]" for i in range(width)]
    path = Path(path)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["t", *names])
        writer.writerows([time, *row] for time, row in zip(t.tolist(), rows, strict=True))
    return path


def write_json(path: str | PathLike[str], name: str, t: Tensor, values: Tensor) -> Path:
    """`{"name", "t": [records], "values": [records][graphs]}`; what is not finite is null, as JSON has no word for it."""

    def plain(x: object) -> object:
        if isinstance(x, list):
            return [plain(one) for one in x]
        return x if isinstance(x, float) and math.isfinite(x) else None

    path = Path(path)
    content = {"name": name, "t": t.tolist(), "values": plain(values.detach().tolist())}
    path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    return path
