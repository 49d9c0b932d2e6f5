"""Tables and sections of a report's page; every text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

GOOD, BAD, ALLOWED = "good", "bad", "allowed"

#: A text, or a text and the class of its cell.
Cell = str | tuple[str, str]


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], left: Sequence[int] = (0,)) -> str:
    """An HTML table.

    Args:
        heads: of the columns.
        rows: of cells.
        left: columns of text; the others are numbers, to the right.
    """
    lines = ["<tr>", *(_cell("th", head, i in left) for i, head in enumerate(heads)), "</tr>\n"]
    for row in rows:
        lines += ["<tr>", *(_cell("td", cell, i in left) for i, cell in enumerate(row)), "</tr>\n"]
    return f'<div class="wide"><table>\n{"".join(lines)}</table></div>\n'


def section(title: str, content: str) -> str:
    """A heading and what belongs to it, which is HTML already."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}</section>\n"


def _cell(tag: str, cell: Cell, left: bool) -> str:
    text, kind = (cell, "") if isinstance(cell, str) else cell
    classes = " ".join(filter(None, ("left" if left else "", kind)))
    attribute = f' class="{classes}"' if classes else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"
