"""The page of a report: HTML that needs no other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from hardware.compare import LayerComparison
from hardware.reporting.cost import cost_sections
from hardware.reporting.data import BackendReport, Report
from hardware.reporting.draw import Picture
from hardware.reporting.tables import ALLOWED, BAD, GOOD, section, table

STYLE = """
body { margin: 0; background: #fff; color: #222; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #ddd; }
p, figcaption { margin: .3rem 0 .6rem; max-width: 80ch; }
figcaption, .note, footer { color: #555; font-size: .88rem; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .88rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: right; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid #bbb; }
td { border-bottom: 1px solid #eee; font-variant-numeric: tabular-nums; }
th.left, td.left { text-align: left; }
td.left { overflow-wrap: anywhere; min-width: 4em; }
.wide { overflow-x: auto; }
figure { margin: .5rem 0; }
img { width: 100%; height: auto; }
code { font-size: .85em; overflow-wrap: anywhere; }
.good { color: #1a6b35; font-weight: 600; }
.bad { color: #c0262d; font-weight: 600; }
.allowed { color: #9a5b00; }
"""


def page(report: Report, pictures: Sequence[Picture]) -> str:
    """The whole page.

    Args:
        report: its numbers.
        pictures: its figures.
    """
    name = escape(f"{report.graph}: {report.pathway} pathway in simulators")
    body = [
        _head(report),
        section("Agreement", _agreement(report)),
        *(_backend(b) for b in report.backends),
        *(_picture(p) for p in pictures),
        section("Ranges", _ranges(report)),
        *cost_sections(report.cost),
        _foot(report),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>'
        '\n<meta name="viewport" content="width=device-width">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{''.join(body)}</main>\n</body>\n</html>\n"
    )


def _head(report: Report) -> str:
    failed = [b.backend for b in report.backends if b.failed]
    verdict = (
        f'<p class="{BAD}">Failed: in {escape(", ".join(failed))} something differs that must not.'
        if failed
        else f'<p class="{GOOD}">Everything that must be equal is equal.'
    )
    return (
        f"<h1>{escape(report.graph)}</h1>\n"
        f"<p>{escape(report.pathway.capitalize())} pathway on {report.samples} samples of "
        f"{report.steps} steps, dt = {report.dt:g} s.</p>\n{verdict}</p>\n"
    )


def _agreement(report: Report) -> str:
    rows = []
    for b in report.backends:
        for other, required, layers in b.groups():
            compared, differing = (
                sum(getattr(x, name) for x in layers) for name in ("compared", "differing")
            )
            rows.append(
                (
                    _called(b),
                    _other(other),
                    f"{compared:,}",
                    f"{differing:,}",
                    _membranes(layers),
                    _verdict(layers, required),
                )
            )
    heads = ("backend", "compared with", "spikes", "differing", "membranes differing", "verdict")
    return table(heads, rows, left=(0, 1, 5)) + (
        f'<p class="note">{report.author} computed in {escape(report.arithmetic)} arithmetic: '
        "backends of it must give the same spikes, the difference of the others is only shown. "
        "Every fixed-point backend must give the spikes and membranes of the integer reference."
        "</p>\n"
    )


def _called(b: BackendReport) -> str:
    return f"{b.backend} ({b.runtime})" if b.runtime else b.backend


def _other(name: str) -> str:
    return "PyTorch (the probe)" if name == "probe" else name


def _membranes(layers: Iterable[LayerComparison]) -> str:
    counts = [x.membranes_differing for x in layers if x.membranes_differing is not None]
    return f"{sum(counts):,}" if counts else "–"


def _verdict(layers: Sequence[LayerComparison], required: bool) -> tuple[str, str]:
    if not any(x.differing or x.membranes_differing for x in layers):
        return "equal", GOOD
    return ("differs, must not", BAD) if required else ("differs, may", ALLOWED)


def _backend(b: BackendReport) -> str:
    parts = []
    for other, required, layers in b.groups():
        rows = [
            (
                x.layer,
                f"{x.compared:,}",
                "graded" if x.graded else f"{x.rate:.2%}",
                f"{x.differing:,}",
                f"{x.f1:.5f}",
                (_first(x), "" if x.first is None else BAD if required else ALLOWED),
            )
            for x in layers
        ]
        heads = ("layer", "spikes", "firing", "differing", "F1", "first difference")
        parts.append(f"<p>Against {escape(_other(other))}:</p>\n")
        parts.append(table(heads, rows, left=(0, 5)))
    counts = [
        f"{n:,} {what}"
        for n, what in ((b.wrapped, "currents wrapped around"), (b.clipped, "membranes clipped"))
        if n is not None
    ]
    if counts:
        parts.append(f"<p>{' and '.join(counts)} at 24 bits.</p>\n")
    parts += [f'<p class="note">{escape(note)}</p>\n' for note in b.notes]
    return section(_called(b), "".join(parts))


def _first(x: LayerComparison) -> str:
    if x.first is None:
        return "–"
    sample, step, neuron = x.first
    where = f"sample {sample}, step {step}, neuron {neuron}"
    return where if x.distance is None else f"{where}; membrane − threshold {x.distance:+.3g}"


def _picture(p: Picture) -> str:
    return section(
        p.title,
        f'<figure><img src="{escape(p.uri)}" alt="{escape(p.title)}">'
        f"<figcaption>{escape(p.caption)}</figcaption></figure>\n",
    )


def _ranges(report: Report) -> str:
    layers = [
        (
            x.layer,
            f"{x.rate:.2%}",
            f"{x.silent:,}",
            f"{x.constant:,}",
            f"{x.weight[0]:.4g} to {x.weight[1]:.4g}",
            "–" if x.stored is None else f"{x.stored[0]} to {x.stored[1]}",
            "–" if x.at_limit is None else f"{x.at_limit:,}",
            f"{x.membrane[0]:.4g} to {x.membrane[1]:.4g}",
            "–" if x.state_peak is None else f"{x.state_peak:.3%}",
        )
        for x in report.layers
    ]
    heads = (
        "layer",
        "firing",
        "silent neurons",
        "always firing",
        "weights",
        "stored",
        "at the limit",
        "membranes",
        "of 24 bits",
    )
    inputs = [
        (
            x.name,
            f"{x.width:,}",
            f"{x.grid:g}",
            f"{x.units[0]} to {x.units[1]}",
            f"{x.active:.2%}",
            "–" if x.saturated is None else f"{x.saturated:,}",
        )
        for x in report.inputs
    ]
    names = ("input", "channels", "grid", "values in units of it", "other than 0", "at ±255")
    reason = report.no_integers
    note = f'<p class="note">No fixed-point form: {escape(reason)}</p>\n' if reason else ""
    return table(heads, layers) + table(names, inputs) + note


def _foot(report: Report) -> str:
    rows = "".join(
        f"<br>{escape(name)}: SHA-256 <code>{escape(digest)}</code>\n"
        for name, digest in (
            (report.graph, report.graph_sha256),
            (report.probe, report.probe_sha256),
        )
    )
    return (
        "<footer><p>Compared are simulators. Nothing here was measured on a chip; an open issue of "
        f"Lava says that its fixed point and the chip differ.{rows}</p></footer>\n"
    )
