"""``docs/ablations.md``: measured and printed scores, with blocks of hand-written text."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mdft.errors import UserError
from mdft.experiments.ablations import COMPARISONS, FULL, Ablation, Comparison
from mdft.experiments.figure import write_figure
from mdft.experiments.spread import SCORES, Scored, Spread, rate_spreads, score_spreads, spread
from mdft.files import write_atomic
from mdft.runs.folder import Results

RATES = "firing-rates"
KEYS = ("summary", *(comparison.key for comparison in COMPARISONS), RATES)

_BEGIN, _END = "<!-- text: {} -->", "<!-- end of text -->"
_BLOCK = re.compile(r"<!-- text: (\S+) -->\n(.*?)<!-- end of text -->", re.DOTALL)

_INTRODUCTION = """\
Ours: the recipe in the table above, per cent, mean ± standard deviation (n − 1) over seeds. ΔHM: HM
minus that of the full model with the same seed. Paper: as printed for UCF-GZSL, another data set:
compare the order of the rows and not the numbers. The paper contradicts itself: ZSL of the full
model is 31.53 in its Tables 1 to 3 and 29.34 in Table 4 and in the text; HM without L_n is 23.78 in
Table 4 and 23.91 in the text; ZSL of the MLP lies below its U, which the protocol makes impossible;
the ablations of its Table 3 have HM 26.34, 26.44 and 29.44, but 2SU/(S+U) of the S and U in these
rows is 26.28, 26.49 and 29.42. Its Figure 5 has no numbers."""


def read_texts(path: Path, keys: Sequence[str] = KEYS) -> dict[str, str]:
    """Read the hand-written blocks of an earlier report; missing ones are empty.

    Args:
        path: path of the report, which need not exist.
        keys: names of the blocks that it may have.

    Returns:
        Key → text.

    Raises:
        UserError: a marker is damaged, which would lose text.
    """
    content = path.read_text() if path.exists() else ""
    blocks = _BLOCK.findall(content)
    found = [key for key, _ in blocks]
    markers = content.count(_BEGIN.split("{")[0]), content.count(_END)
    if (
        markers != (len(blocks), len(blocks))
        or not set(found) <= set(keys)
        or len(set(found)) < len(found)
    ):
        raise UserError(
            f"{path}: {markers[0]} begin markers and {markers[1]} end markers of texts, named "
            f"{', '.join(found) or 'nothing'}; expected pairs named {', '.join(keys)}; "
            "fix them or move the file away"
        )
    return dict.fromkeys(keys, "") | dict(blocks)


def report(
    results: Mapping[str, Sequence[Results]],
    texts: Mapping[str, str],
    facts: Mapping[str, str],
    figure: str,
) -> str:
    """The whole report.

    Args:
        results: name of every ablation → finished runs.
        texts: the result of :func:`read_texts`.
        facts: the result of :func:`facts`.
        figure: link to the figure.
    """
    parts = [
        "# Ablations",
        "Written by `python -m mdft.ablate`; a rerun keeps only text between text markers.",
        facts_table(facts),
        _INTRODUCTION,
        f"![HM of every row]({figure})",
        text_block("summary", texts),
    ]
    for comparison in COMPARISONS:
        parts += [
            f"## {comparison.title}",
            _comparison(comparison, results),
            text_block(comparison.key, texts),
        ]
    own = {name: found for name, found in results.items() if found != results[FULL]}
    distinct = {FULL: results[FULL], **own}  # rows equal to the full model become one row
    parts += ["## Firing rates", rates(distinct), text_block(RATES, texts)]
    return "\n\n".join(parts) + "\n"


def write_report(
    path: Path, results: Mapping[str, Sequence[Results]], measured: Mapping[str, str]
) -> None:
    """Write the report and its figure; hand-written text is kept.

    Args:
        path: path of the report.
        results: name of every ablation → finished runs.
        measured: the result of :func:`facts`.
    """
    texts = read_texts(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = path.with_suffix(".svg")
    write_figure(figure, results)
    write_atomic(path, report(results, texts, measured, figure.name).encode())


def facts(
    command: str, recipe: str, seeds: Sequence[int], at_once: int, results: Sequence[Scored]
) -> dict[str, str]:
    """The conditions of a measurement, as rows of a table.

    Args:
        command: the command line.
        recipe: name of the recipe.
        seeds: the requested seeds.
        at_once: number of runs at a time.
        results: results of all runs, without duplicates.
    """
    threads = max(1, torch.get_num_threads() // at_once)
    times = [r.seconds for r in results]
    took = "–"
    if times:
        took = f"{min(times):.0f} to {max(times):.0f}, {sum(times) / 3600:.1f} hours in all"
    return {
        "command": f"`{command}`",
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "recipe": f"`{recipe}`",
        "seeds": ", ".join(map(str, seeds)),
        "runs": f"{len(results)}, {at_once} at once, torch threads of each: {threads}",
        "seconds a run": took,
    }


def machine() -> str:
    """Processor, cores, system and versions; no host or user names."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*: (.+)", cpuinfo.read_text())
        cpu = found[1] if found else cpu
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{cpu}, {os.cpu_count()} cores{gpu}, {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def difference(results: Sequence[Results], full: Sequence[Results]) -> Spread:
    """Spread of ``HM − HM of the full model`` over their common seeds."""
    reference = {r.seed: r.hm for r in full}
    return spread(r.hm - reference[r.seed] for r in results if r.seed in reference)


def _comparison(comparison: Comparison, results: Mapping[str, Sequence[Results]]) -> str:
    names = list(SCORES.values())
    printed = any(row.printed for row in comparison.rows)
    paper = [f"paper {name}" for name in names] if printed else []
    head = ["", "change", *names, "ΔHM", *paper]
    lines = [line(head), line(["---", "---", *["---:"] * (len(head) - 2)])]
    lines += [line(_row(row, results, printed)) for row in comparison.rows]
    return "\n".join(lines)


def _row(row: Ablation, results: Mapping[str, Sequence[Results]], printed: bool) -> list[str]:
    found, full = results[row.name], results[FULL]
    label = with_seeds(row.label, len(found), max(len(r) for r in results.values()))
    change = "<br>".join(f"`{name}={value}`" for name, value in row.change.items())
    delta = "" if found == full else difference(found, full).percent(sign=True)
    paper = [f"{value:.2f}" for value in row.printed] if row.printed else []
    scores = [value.percent() for value in score_spreads(found).values()]
    return [label, change, *scores, delta, *(paper if printed else [])]


def rates(results: Mapping[str, Sequence[Results]]) -> str:
    """Firing rate of every layer, one line per row that has spiking layers.

    Args:
        results: name of every row → finished runs.
    """
    found = {name: rate_spreads(runs) for name, runs in results.items()}
    layers = sorted({layer for of_row in found.values() for layer in of_row})
    lines = [line(["", *layers]), line(["---", *["---:"] * len(layers)])]
    for name, of_row in found.items():
        if of_row:
            cells = [of_row[layer].percent() if layer in of_row else "" for layer in layers]
            lines.append(line([f"`{name}`", *cells]))
    return "Per cent of neuron-steps on the test clips.\n\n" + "\n".join(lines)


def text_block(key: str, texts: Mapping[str, str]) -> str:
    """A hand-written text between its markers."""
    return f"{_BEGIN.format(key)}\n{texts[key]}{_END}"


def facts_table(facts: Mapping[str, str]) -> str:
    """The table of :func:`facts`."""
    return "\n".join(["| | |", "|---|---|", *(line(fact) for fact in facts.items())])


def with_seeds(label: str, finished: int, most: int) -> str:
    """A row's label, with a note if fewer seeds are finished than in other rows.

    Args:
        label: label of the row.
        finished: number of its finished seeds.
        most: largest number of finished seeds of any row.
    """
    return f"{label} ({finished} of {most} seeds)" if 0 < finished < most else label


def line(cells: Sequence[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"
