"""``docs/results.md``: MDFT and all baselines on the same clips, and the tuning of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mdft.config.data import Compared
from mdft.experiments.compare_rows import ROWS
from mdft.experiments.compare_space import Choice
from mdft.experiments.record import FinishedRun
from mdft.experiments.report import facts_table, line, text_block, with_seeds
from mdft.experiments.spread import SCORES, Spread, score_spreads, spread
from mdft.systems.build import OURS

#: Blocks of hand-written text that a rerun keeps.
KEYS = ("summary", "tuning")

_INTRODUCTION = """\
All systems use the same clips, inputs, number of batches, two stages, β grid and word vectors;
[baselines.md](baselines.md) describes each one. Stage 1 ends when the validation HM has not
improved for the number of epochs in the table above; stage 2 takes as many epochs as the best one.
Per cent, mean ± standard deviation (n − 1) over the runs; the best mean of a column is bold. HM −
MDFT: the mean difference to MDFT's run with the same two seeds ± its standard error (runs on one
data seed share their clips, so that the error is underestimated). Epochs: of stage 2. Parameters:
number of trained parameters without f-VAEGAN's classifier. Training: wall-clock seconds of both
stages, including validation."""
#: Inputs → heading, and what the systems are given.
BLOCKS: Mapping[Compared, tuple[str, str]] = {
    "features+events": (
        "Features and events",
        "Audio and visual features, and E_v of the {events}. Baselines have each event bin beside\n"
        "the visual features of its second; a token of TCaF is a second with its bins beside each\n"
        "other. Those that average their inputs, all but TCaF, GRU, transformer and what is named\n"
        "over time, have the averages, standardised over the clips.",
    ),
    "features": (
        "Features alone",
        "Audio and visual features. MDFT computes E_v from the visual features.",
    ),
    "whitened-features": (
        "Features alone, whitened",
        "The same, with `--data.whiten` for every system: most of the correlation between the\n"
        "features is removed ([data.md](data.md#processing)).",
    ),
}
#: ``data.events`` → what E_v is computed from.
_EVENTS = {"pixel": "pixels", "feature": "visual features"}
_UNTUNED = """\
Nothing was tuned: every system has its default hyperparameters, for a baseline those that its paper
or its code publishes where there are such ([baselines.md](baselines.md))."""
_TUNING = """\
Every system had the same number of complete runs with seed 0, over a learning rate and one
hyperparameter of its own; the first run uses the defaults. The best HM on the validation classes
was chosen; the test classes were not used."""


@dataclass(frozen=True)
class Entry:
    """One system of the comparison.

    Attributes:
        runs: (data seed, training seed) → a finished run.
        parameters: number of trained parameters.
        choice: the chosen trial; None if none of its runs is finished.
    """

    runs: Mapping[tuple[int, int], FinishedRun]
    parameters: int
    choice: Choice | None

    @property
    def results(self) -> list[FinishedRun]:
        """All finished runs."""
        return list(self.runs.values())


def comparison_report(
    blocks: Mapping[Compared, Mapping[str, Entry]],
    texts: Mapping[str, str],
    facts: Mapping[str, str],
    figure: str | None,
    variant: str = "",
    events: str = "pixel",
) -> str:
    """The whole report.

    Args:
        blocks: inputs → system → its entry, in the order of the tables.
        texts: key of ``KEYS`` → hand-written text.
        facts: the result of :func:`mdft.experiments.report.facts`.
        figure: link to the figure; None without one.
        variant: flags that change a system against the recipe, for the title; empty: none.
        events: ``pixel`` or ``feature``, the source of E_v.
    """
    parts = [
        f"# Results with `{variant}`" if variant else "# Results",
        "Written by `python -m mdft.compare`; a rerun keeps only text between text markers.",
        facts_table(facts),
        _INTRODUCTION,
    ]
    if figure is not None:
        parts.append(f"![HM of every system, mean ± standard deviation over the runs]({figure})")
    parts.append(text_block("summary", texts))
    for inputs, entries in blocks.items():
        title, explained = BLOCKS[inputs]
        parts += [f"## {title}", explained.format(events=_EVENTS[events]), _scores(entries)]
    choices = [e.choice for entries in blocks.values() for e in entries.values() if e.choice]
    if any(len(choice.hms) > 1 for choice in choices):
        parts += ["## Tuning", _TUNING]
        for inputs, entries in blocks.items():
            parts += [f"{BLOCKS[inputs][0]}:", _tuning(entries)]
    else:
        parts += ["## Tuning", _UNTUNED]
    return "\n\n".join([*parts, text_block("tuning", texts)]) + "\n"


def _scores(entries: Mapping[str, Entry]) -> str:
    several = len(entries) > 1
    best = _best(entries) if several else {}
    most = max((len(e.runs) for e in entries.values()), default=0)
    difference = ["HM − MDFT"] if several else []
    heads = [*SCORES.values(), *difference, "epochs", "parameters", "training, s"]
    lines = [line(["", *heads]), line(["---", *["---:"] * len(heads)])]
    for system, entry in entries.items():
        label = with_seeds(ROWS[system], len(entry.runs), most)
        cells = [
            f"**{value.percent()}**" if system == best.get(name) else value.percent()
            for name, value in score_spreads(entry.results).items()
        ]
        if several:
            cells.append("" if system == OURS else paired(entry, entries[OURS]))
        cells.append(_rounded(spread(r.epoch + 1 for r in entry.results)))
        count = f"{entry.parameters:,}".replace(",", " ")
        seconds = _rounded(spread(r.seconds for r in entry.results))
        lines.append(line([label, *cells, count, seconds]))
    return "\n".join(lines)


def paired(entry: Entry, ours: Entry) -> str:
    """Mean difference in HM over runs with the same seeds ± its standard error, in per cent."""
    common = entry.runs.keys() & ours.runs.keys()
    value = spread(entry.runs[k].hm - ours.runs[k].hm for k in sorted(common))
    return replace(value, std=value.std / math.sqrt(max(value.n, 1))).percent(sign=True)


def _best(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Score → the system with the best mean; the first one of equal means."""
    found = {s: score_spreads(e.results) for s, e in entries.items() if e.results}
    return {name: max(found, key=lambda s: found[s][name].mean) for name in SCORES if found}


def _rounded(value: Spread) -> str:
    if value.n == 0:
        return "–"
    digits = 0 if value.mean >= 10 else 1
    spread_of = f" ± {value.std:.{digits}f}" if value.n > 1 else ""
    return f"{value.mean:.{digits}f}{spread_of}"


def _tuning(entries: Mapping[str, Entry]) -> str:
    lines = [line(["", "validation HM of the defaults", "chosen", "validation HM", "trials"])]
    lines.append(line(["---", "---:", "---", "---:", "---:"]))
    for system, entry in entries.items():
        choice = entry.choice
        if choice is None:
            lines.append(line([ROWS[system], "–", "–", "–", "0"]))
            continue
        hms = [hm for hm in choice.hms if hm is not None]
        failed = f", {len(choice.hms) - len(hms)} failed" if None in choice.hms else ""
        changes = [f"`{name}={value:g}`" for name, value in choice.trial.change.items()]
        published = "–" if choice.hms[0] is None else f"{100 * choice.hms[0]:.1f}"
        cells = [published, "<br>".join(changes) or "defaults", f"{100 * max(hms):.1f}"]
        lines.append(line([ROWS[system], *cells, f"{len(choice.hms)}{failed}"]))
    return "\n".join(lines)
