"""``docs/results.md``: MDFT and all baselines on the same clips, and the tuning of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mdft.experiments.compare_space import Choice
from mdft.experiments.report import facts_table, line, text_block, with_seeds
from mdft.experiments.spread import SCORES, score_spreads, spread
from mdft.runs.folder import Results
from mdft.systems.build import TITLES

#: Blocks of hand-written text that a rerun keeps.
KEYS = ("summary", "tuning")

_INTRODUCTION = """\
All systems use the same clips, batches, two stages, β grid and word vectors, for the same number
of epochs; [baselines.md](baselines.md) describes each one. Per cent, mean ± standard deviation
(n − 1) over seeds; the best mean of a column is bold. Parameters: number of trained parameters
without f-VAEGAN's classifier. Training: wall-clock seconds of both stages, including validation."""
_TUNING = """\
Every system had the same number of complete runs with seed 0, over a learning rate and one
hyperparameter of its own; the first run uses the published values. The best HM on the validation
classes was chosen; the test classes were not used."""


@dataclass(frozen=True)
class Entry:
    """One system of the comparison.

    Attributes:
        results: its finished runs, one per seed.
        parameters: number of trained parameters.
        choice: the chosen trial; None if none of its runs is finished.
    """

    results: Sequence[Results]
    parameters: int
    choice: Choice | None


def comparison_report(
    entries: Mapping[str, Entry], texts: Mapping[str, str], facts: Mapping[str, str], figure: str
) -> str:
    """The whole report.

    Args:
        entries: system → its entry, in the order of the table.
        texts: key of ``KEYS`` → hand-written text.
        facts: the result of :func:`mdft.experiments.report.facts`.
        figure: link to the figure.
    """
    parts = [
        "# Results",
        "Written by `python -m mdft.compare`; a rerun keeps only text between text markers.",
        facts_table(facts),
        _INTRODUCTION,
        _scores(entries),
        f"![HM against training time]({figure})",
        text_block("summary", texts),
        "## Tuning",
        _TUNING,
        _tuning(entries),
        text_block("tuning", texts),
    ]
    return "\n\n".join(parts) + "\n"


def _scores(entries: Mapping[str, Entry]) -> str:
    best = _best(entries)
    most = max((len(e.results) for e in entries.values()), default=0)
    lines = [line(["", *SCORES.values(), "parameters", "training, s"])]
    lines.append(line(["---", *["---:"] * (len(SCORES) + 2)]))
    for system, entry in entries.items():
        label = with_seeds(TITLES[system], len(entry.results), most)
        cells = [
            f"**{value.percent()}**" if system == best.get(name) else value.percent()
            for name, value in score_spreads(entry.results).items()
        ]
        count = f"{entry.parameters:,}".replace(",", " ")
        lines.append(line([label, *cells, count, _seconds(entry.results)]))
    return "\n".join(lines)


def _best(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Score → the system with the best mean; the first one of equal means."""
    found = {s: score_spreads(e.results) for s, e in entries.items() if e.results}
    return {name: max(found, key=lambda s: found[s][name].mean) for name in SCORES if found}


def _seconds(results: Sequence[Results]) -> str:
    value = spread(r.seconds for r in results)
    if value.n == 0:
        return "–"
    digits = 0 if value.mean >= 10 else 1
    spread_of = f" ± {value.std:.{digits}f}" if value.n > 1 else ""
    return f"{value.mean:.{digits}f}{spread_of}"


def _tuning(entries: Mapping[str, Entry]) -> str:
    lines = [line(["", "validation HM as published", "chosen", "validation HM", "trials"])]
    lines.append(line(["---", "---:", "---", "---:", "---:"]))
    for system, entry in entries.items():
        choice = entry.choice
        if choice is None:
            lines.append(line([TITLES[system], "–", "–", "–", "0"]))
            continue
        hms = [hm for hm in choice.hms if hm is not None]
        failed = f", {len(choice.hms) - len(hms)} failed" if None in choice.hms else ""
        changes = [f"`{name}={value:g}`" for name, value in choice.trial.change.items()]
        published = "–" if choice.hms[0] is None else f"{100 * choice.hms[0]:.1f}"
        cells = [published, "<br>".join(changes) or "as published", f"{100 * max(hms):.1f}"]
        lines.append(line([TITLES[system], *cells, f"{len(choice.hms)}{failed}"]))
    return "\n".join(lines)
