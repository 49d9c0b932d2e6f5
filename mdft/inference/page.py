"""A page about one clip: one HTML file, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from mdft.files import write_atomic
from mdft.inference.candidates import Guess
from mdft.inference.explain import Explanation
from mdft.inference.figures import figures

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1160px; margin: 2em auto;
       padding: 0 1em }
h1 { font-size: 1.4em; overflow-wrap: anywhere } h2 { font-size: 1.1em; margin: 1.6em 0 .3em }
img { max-width: 100% } table { border-collapse: collapse; min-width: 22em }
th, td { text-align: left; padding: .15em .9em .15em 0; border-bottom: 1px solid #ddd }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.unseen { color: #2f7d46 } .seen { color: #33548a }
.pair { display: flex; gap: 3em; flex-wrap: wrap } p.note { color: #666; margin: .2em 0 }
"""
_TOP = 5
_WITHOUT = (
    "Without motion no neuron of the last layer fires, and all else is as it was: "
    "the paper's Figure 6."
)


def write_page(path: Path, title: str, page: Explanation) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the HTML file.
        title: name of the clip.
        page: what it shows.
    """
    write_atomic(path, render(title, page).encode())


def render(title: str, page: Explanation) -> str:
    """The HTML of a page; every name in it is escaped."""
    best, still = page.guesses[0], page.without[0]
    if best.name == still.name:
        verdict = f"Without motion the answer would be the same, {_named(still)}."
    else:
        verdict = f"Without motion the answer would be {_named(still)}."
    images = "".join(
        f'<h2>{escape(heading)}</h2><img alt="{escape(heading)}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">\n'
        for heading, png in figures(page)
    )
    remarks = "".join(f'<p class="note">{escape(r)}</p>' for r in page.footage.remarks)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>
<h1>{escape(title)}: {_named(best)}</h1>
<p>{page.footage.seconds} s, {len(page.names)} classes to choose from. {verdict}</p>{remarks}
<div class="pair"><div><h2>Answer</h2>{_table(page.guesses)}</div>
<div><h2>Answer without motion</h2>{_table(page.without)}</div></div>
<p class="note">{escape(_WITHOUT)}</p>
{images}</html>
"""


def _named(guess: Guess) -> str:
    kind = "seen" if guess.seen else "unseen"
    return f'<span class="{kind}">{escape(guess.name)} ({kind})</span>'


def _table(guesses: Sequence[Guess]) -> str:
    rows = "".join(
        f'<tr><td class="n">{place}</td><td>{_named(guess)}</td>'
        f'<td class="n">{guess.distance:.3f}</td><td class="n">{guess.calibrated:.3f}</td></tr>'
        for place, guess in enumerate(guesses[:_TOP], start=1)
    )
    head = '<tr><th></th><th>class</th><th class="n">distance</th><th class="n">with β</th></tr>'
    return f"<table>{head}{rows}</table>"
