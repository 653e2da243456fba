"""The result of `check`: one row per test, and a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One test.

    Attributes:
        name: what was tested.
        passed: None if the test does not apply here; `measured` then says why.
        measured: what was found: a number (an error, relative) or words.
        allowed: what would have passed.
        advice: what to do if it did not pass.
    """

    name: str
    passed: bool | None
    measured: float | str
    allowed: float | str
    advice: str


@dataclass(frozen=True)
class Report:
    """All tests of one equation; `print` it.

    Attributes:
        equation: its class.
        rows: the tests, in the order in which they ran.
    """

    equation: str
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether no test failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.passed is False)

    def __str__(self) -> str:
        word = {True: "ok", False: "FAILED", None: "n/a"}
        cells = [("", "test", "measured", "allowed")]
        cells += [(word[row.passed], row.name, _text(row.measured), _text(row.allowed)) for row in self.rows]
        widths = [max(len(line[i]) for line in cells) for i in range(3)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[3]]).rstrip() for line in cells]
        for row in self.failures:
            lines.append(f"{row.name}: {row.advice}")
        verdict = "keeps the contract" if self.ok else f"breaks the contract in {len(self.failures)} of {len(self.rows)} tests"
        return "\n".join([f"{self.equation} {verdict}", *lines])


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2g}"
