"""``docs/bits.md`` and its figure: HM against the number of bits of a weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mdft.experiments.bits_plan import CONTROL, FLOAT, row_name
from mdft.experiments.drawing import INK, OTHER, OURS, plain, write_drawing
from mdft.experiments.report import difference, facts_table, line, rates, text_block, with_seeds
from mdft.experiments.spread import SCORES, score_spreads, spread
from mdft.runs.folder import Results

#: Blocks of hand-written text that a rerun keeps.
KEYS = ("summary", "firing-rates")

_INTRODUCTION = """\
Per cent, mean ± standard deviation (n − 1) over seeds. ΔHM: HM minus that of the float run with the
same seed. The float run of each seed is trained with the two-stage protocol. The other rows start
from its model and are fine-tuned for the number of epochs in the table above, on the training and
validation classes, with the same β; no hyperparameter is chosen again, and test classes are not
used. `float, trained on` is the control: the same additional epochs in float. The other rows have
Loihi's integer membranes and weights with the given number of bits, multiples of one power of two
per layer, at least 1/64; biases keep 8 bits. In float runs, too, weights are 8-bit multiples of
1/64."""

_CAPTION = """\
Dots: seeds. Bars, and the grey band of the float run: standard deviations. The axis of HM does not
start at 0."""


def bits_report(
    results: Mapping[str, Sequence[Results]],
    bits: Sequence[int],
    texts: Mapping[str, str],
    facts: Mapping[str, str],
    figure: str,
) -> str:
    """The whole report.

    Args:
        results: row → finished runs.
        bits: numbers of bits, in the order of the table.
        texts: key of ``KEYS`` → hand-written text.
        facts: the conditions of the measurement.
        figure: link to the figure.
    """
    rows = {FLOAT: ("float", "8"), CONTROL: ("float, trained on", "8")}
    rows |= {row_name(b): ("loihi", str(b)) for b in bits}
    parts = [
        "# Weight bits",
        "Written by `python -m mdft.bits`; a rerun keeps only text between text markers.",
        facts_table(facts),
        _INTRODUCTION,
        _scores(results, rows),
        f"![HM against weight bits]({figure})",
        _CAPTION,
        text_block("summary", texts),
        "## Firing rates",
        rates({name: results[name] for name in rows}),
        text_block("firing-rates", texts),
    ]
    return "\n\n".join(parts) + "\n"


def write_bits_figure(
    path: Path, results: Mapping[str, Sequence[Results]], bits: Sequence[int]
) -> None:
    """Draw HM against bits with a dot per seed; float runs are lines.

    Args:
        path: path of the figure; its ending sets the format.
        results: row → finished runs.
        bits: the requested numbers of bits.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for row, label, style in ((FLOAT, "float", "-"), (CONTROL, "float, trained on", "--")):
            value = spread(100 * r.hm for r in results[row])
            if value.n:
                axes.axhline(value.mean, color=INK, linestyle=style, linewidth=1, label=label)
            if value.n > 1 and row == FLOAT:
                low, high = value.mean - value.std, value.mean + value.std
                axes.axhspan(low, high, color=OTHER, alpha=0.4, linewidth=0)
        found = {b: [100 * r.hm for r in results[row_name(b)]] for b in bits}
        found = {b: hms for b, hms in sorted(found.items()) if hms}
        means = [spread(hms) for hms in found.values()]
        deviations = [value.std if value.n > 1 else 0.0 for value in means]
        places = list(found)
        axes.errorbar(
            places, [v.mean for v in means], deviations, fmt="o-", color=OURS, capsize=3,
            label="loihi",
        )  # fmt: skip
        for place, hms in found.items():
            axes.plot([place + 0.1] * len(hms), hms, ".", color=OURS, markersize=4, alpha=0.6)
        axes.set_xticks(sorted(bits))
        axes.set_xlabel("bits per weight")
        axes.set_ylabel("HM, %")
        axes.legend(framealpha=1, edgecolor="none", loc="best")
        plain(axes, "HM against weight bits, integer membranes", "y")

    write_drawing(path, (6, 3.5), draw)


def _scores(results: Mapping[str, Sequence[Results]], rows: Mapping[str, tuple[str, str]]) -> str:
    head = ["arithmetic", "weight bits", *SCORES.values(), "ΔHM"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    most = max(len(results[name]) for name in rows)
    for name, (arithmetic, bits) in rows.items():
        found = results[name]
        scores = [value.percent() for value in score_spreads(found).values()]
        delta = "" if name == FLOAT else difference(found, results[FLOAT]).percent(sign=True)
        lines.append(line([with_seeds(arithmetic, len(found), most), bits, *scores, delta]))
    return "\n".join(lines)
