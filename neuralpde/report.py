"""A report as one HTML file: text, figures, tables and commands, with nothing to load from elsewhere."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .report_style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST_SVG = 600_000  # bytes; a larger figure becomes a PNG
_LONG = 40  # characters, beyond which a text leaves its column for a line below the row
_NOTHING = "–"
_IMAGES = {".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


@dataclass(eq=False)
class Section:
    """A part of a report: a heading, and what was added below it, in that order. Everything given is text, never markup."""

    heading: str
    parts: list[str] = field(default_factory=list)

    def text(self, *paragraphs: str) -> Section:
        """Add paragraphs."""
        self.parts += [f"<p>{escape(one)}</p>" for one in paragraphs]
        return self

    def note(self, *paragraphs: str) -> Section:
        """Add paragraphs that stand out: a verdict, a warning."""
        self.parts.append('<div class="note">' + "".join(f"<p>{escape(one)}</p>" for one in paragraphs) + "</div>")
        return self

    def figure(self, figure: Figure, caption: str = "", *, dpi: int = 150) -> Section:
        """Add a matplotlib figure as it is now: as SVG, or as PNG of `dpi` dots per inch if the SVG would be large."""
        svg = _saved(figure, "svg", dpi)
        image = ("image/svg+xml", svg) if len(svg) <= _LARGEST_SVG else ("image/png", _saved(figure, "png", dpi))
        return self._image(*image, caption, round(figure.get_figwidth() * 100))

    def image(self, path: str | Path, caption: str = "") -> Section:
        """Add a picture from a file (png, gif, jpg, svg), embedded.

        Raises:
            ValueError: another kind of file.
        """
        path = Path(path)
        kind = _IMAGES.get(path.suffix.lower())
        if kind is None:
            raise ValueError(f"{path.name} is no picture that a page can show; expected one of {', '.join(_IMAGES)}")
        return self._image(kind, path.read_bytes(), caption, None)

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        caption: str = "",
        *,
        columns: Sequence[str] | Mapping[str, str] | None = None,
        formats: Mapping[str, str] | None = None,
    ) -> Section:
        """Add a table, numbers to the right; missing and non-finite values are shown as such.

        Args:
            rows: column -> value, for each row.
            caption: above the table.
            columns: those to show, in order, or column -> its heading; None shows all. In a table of more than three, a column
                with long texts (notes) is shown below each row.
            formats: column -> format of its numbers ("{:.1%}", "{:.2f} s"); else four significant digits.
        """
        if columns is None:
            columns = list(dict.fromkeys(name for row in rows for name in row))
        heads = columns if isinstance(columns, Mapping) else {name: name.replace("_", " ") for name in columns}
        self.parts.append(_table(rows, caption, heads, formats or {}))
        return self

    def commands(self, *lines: str) -> Section:
        """Add commands (or code) as they are typed, one a line."""
        self.parts.append("<pre><code>" + escape("\n".join(lines)) + "</code></pre>")
        return self

    def _image(self, kind: str, data: bytes, caption: str, width: int | None) -> Section:
        size = f' width="{width}"' if width else ""
        below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        self.parts.append(f'<figure><img src="{source}" alt="{escape(caption or self.heading)}"{size}>{below}</figure>')
        return self


@dataclass(eq=False)
class Report:
    """A page in the making: `report.section("Heat").text("...").figure(fig, "...").table(rows)`, then `report.write(path)`.

    Args:
        title: of the page.
        subtitle: under it: what ran, when, with which versions.
        footer: at the end.
    """

    title: str
    subtitle: str = ""
    footer: str = ""
    sections: list[Section] = field(default_factory=list)

    def section(self, heading: str) -> Section:
        """Begin a section and return it."""
        self.sections.append(Section(heading))
        return self.sections[-1]

    def html(self) -> str:
        """The page."""
        names = [(f"s{number}", part.heading) for number, part in enumerate(self.sections, 1)]
        links = "".join(f'<li><a href="#{key}">{escape(heading)}</a></li>' for key, heading in names)
        nav = f'<nav aria-label="Contents"><ol>{links}</ol></nav>' if len(names) > 2 else ""
        body = "\n".join(
            f'<section>\n<h2 id="{key}">{escape(part.heading)}</h2>\n' + "\n".join(part.parts) + "\n</section>"
            for (key, _), part in zip(names, self.sections, strict=True)
        )
        under = f'<p class="subtitle">{escape(self.subtitle)}</p>' if self.subtitle else ""
        footer = f"<footer><p>{escape(self.footer)}</p></footer>" if self.footer else ""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
            f"<h1>{escape(self.title)}</h1>\n{under}\n{nav}\n{body}\n{footer}\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page to a file, in UTF-8, and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path


def _saved(figure: Figure, kind: str, dpi: int) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=dpi, facecolor="white")
    return buffer.getvalue()


def _table(rows: Sequence[Mapping[str, Any]], caption: str, heads: Mapping[str, str], formats: Mapping[str, str]) -> str:
    shown = [{name: _shown(row.get(name), formats.get(name)) for name in heads} for row in rows]
    long = {name for name in heads if len(heads) > 3 and any(len(row[name]) > _LONG for row in shown)}
    short = {name: title for name, title in heads.items() if name not in long}
    numeric = {name for name in short if _is_numeric([row.get(name) for row in rows])}

    def cells(tag: str, texts: Mapping[str, str]) -> str:
        kind = {name: ' class="number"' * (name in numeric) + ' scope="col"' * (tag == "th") for name in short}
        return "".join(f"<{tag}{kind[name]}>{escape(texts[name])}</{tag}>" for name in short)

    lines = []
    for index, row in enumerate(shown):
        more = [(heads[name], row[name]) for name in heads if name in long and row[name] not in ("", _NOTHING)]
        even = " even" * (index % 2)
        lines.append(f'<tr class="{"first" if more else "only"}{even}">{cells("td", row)}</tr>')
        if more:  # long texts get a line of their own below the row
            text = "; ".join(f"{head}: {value}" for head, value in more)
            lines.append(f'<tr class="more{even}"><td colspan="{len(short)}"><div>{escape(text)}</div></td></tr>')
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    head, body = cells("th", short), "\n".join(lines)
    return (
        f'<div class="scroll" tabindex="0"><table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    )


def _is_numeric(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(map(_is_number, known))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _shown(value: Any, form: str | None) -> str:
    if value is None:
        return _NOTHING
    if not _is_number(value):
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    if not math.isfinite(value):
        return _NOTHING if math.isnan(value) else f"{value:+}"
    if form is not None:
        return form.format(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    value = float(value)
    return f"{value:.3e}" if value and not 1e-3 <= abs(value) < 1e5 else f"{value:.4g}"
