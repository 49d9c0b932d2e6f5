"""The HTML page that explains a prediction, from the template `page.html`; a single file."""

from __future__ import annotations

import base64
from pathlib import Path

from mdft.files import write_atomic
from mdft.inference.explain import Explanation
from mdft.inference.figures import figures
from mdft.templates import environment


def write_page(path: Path, title: str, page: Explanation) -> None:
    """Write the page atomically.

    Args:
        path: path of the HTML file.
        title: name of the clip.
        page: content of the page.
    """
    write_atomic(path, render(title, page).encode())


def render(title: str, page: Explanation) -> str:
    """The HTML of a page; every text in it is escaped."""
    encoded = [(heading, base64.b64encode(png).decode()) for heading, png in figures(page)]
    template = environment("mdft.inference").get_template("page.html")
    return template.render(title=title, page=page, figures=encoded)
