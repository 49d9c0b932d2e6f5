"""The figure of the architecture: boxes are files or folders, arrows are data between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

Point = tuple[int, int]
WIDTH, HEIGHT = 990, 671
INK, MUTED = "#334155", "#475569"
DATA, DENSE, SPIKING, OUTSIDE, FILE = "#f1f5f9", "#dbeafe", "#fde2e2", "#dcfce7", "#ffffff"


@dataclass(frozen=True)
class Box:
    """A file or folder and its purpose, of one line or several; corner, size and colour."""

    at: Point
    size: Point
    file: str
    says: str
    fill: str
    edge: str = INK


@dataclass(frozen=True)
class Zone:
    """A frame around boxes, with a common label."""

    at: Point
    size: Point
    says: str
    fill: str
    edge: str


@dataclass(frozen=True)
class Arrow:
    """A polyline with a label, the label's position and its SVG ``text-anchor``."""

    points: tuple[Point, ...]
    says: str = ""
    at: Point = (0, 0)
    anchor: str = "middle"


ZONES = (
    Zone((215, 20), (745, 426), "PyTorch: dense stream and fusion", "#f8fbff", "#93c5fd"),
    Zone((440, 190), (275, 205), "becomes NIR, runs in Lava", "#fff5f5", "#f87171"),
    Zone((215, 476), (745, 175), "NIR and simulators", "#f7fdf9", "#86efac"),
)
BOXES = (
    Box((20, 60), (160, 56), "mdft/data/", "clips, words, splits", DATA),
    Box((20, 225), (160, 56), "events/", "EGM, (4)(5)", DATA),
    Box((240, 60), (160, 56), "mdft/model/layers.py", "encoders E_aud, E_vis", DENSE),
    Box((455, 60), (160, 56), "mdft/model/rjlu.py", "RJLU, (1)–(3)", DENSE),
    Box((240, 225), (160, 56), "mdft/model/dab.py", "DAB: E_a, (6)", DENSE),
    Box((240, 320), (160, 56), "mdft/model/threshold.py", "θ(t) = V_th, (7)", DENSE),
    Box((480, 230), (200, 62), "mdft/model/motion.py", "audio ‖ visual, 3 × (Linear+LIF)", SPIKING),
    Box((480, 318), (200, 56), "mdft/lif/neuron.py", "one LIF step, (8)(9)", SPIKING),
    Box((770, 60), (165, 52), "mdft/model/crm.py", "fusion, reasoning, (10)(11)", DENSE),
    Box((770, 136), (165, 52), "mdft/model/readout.py", "motion as a value (ours)", DENSE),
    Box(
        (770, 212),
        (165, 68),
        "mdft/model/losses.py",
        "L_n + L_p + L_r, (13)–(15)\n+ cross-entropy (ours)",
        DENSE,
    ),
    Box((770, 304), (165, 52), "mdft/training/trainer.py", "two-stage protocol", DENSE),
    Box((770, 380), (165, 52), "mdft/gzsl.py", "S, U, HM, ZSL", DENSE),
    Box((240, 526), (175, 64), "export/to_nir.py", "checked against PyTorch", OUTSIDE),
    Box((478, 526), (205, 64), "motion_*.nir + probe.npz", "graph, inputs and spikes", FILE),
    Box((735, 488), (205, 46), "hardware/reference_float.py", "NumPy, floating point", OUTSIDE),
    Box((735, 542), (205, 46), "hardware/fixed_point/reference_int.py", "NumPy, integers", OUTSIDE),
    Box((735, 596), (205, 46), "hardware/lava/run.py", "Lava, float and fixed point", OUTSIDE),
)
ARROWS = (
    Arrow(((180, 88), (238, 88)), "a, v", (209, 80)),
    Arrow(((100, 116), (100, 223)), "pixels", (107, 172), "start"),
    Arrow(((400, 88), (453, 88)), "a, v", (427, 80)),
    Arrow(((615, 88), (768, 88)), "S, h", (692, 80)),
    Arrow(((180, 253), (238, 253)), "E_v", (209, 245)),
    Arrow(((320, 116), (320, 223)), "a", (328, 172), "start"),
    Arrow(((535, 116), (535, 150), (225, 150), (225, 348), (238, 348)), "S", (440, 143)),
    Arrow(((400, 253), (478, 253)), "E_a, E_v", (433, 243)),
    Arrow(((400, 348), (430, 348), (430, 275), (478, 275)), "θ(t)", (424, 318), "end"),
    Arrow(((577, 318), (577, 294))),
    Arrow(((680, 261), (735, 261), (735, 102), (768, 102)), "spikes j", (729, 185), "end"),
    Arrow(((680, 261), (735, 261), (735, 162), (768, 162))),
    Arrow(((852, 112), (852, 134)), "F_av", (860, 128), "start"),
    Arrow(((852, 188), (852, 210)), "O_av, O_w", (860, 204), "start"),
    Arrow(((852, 280), (852, 302))),
    Arrow(((852, 356), (852, 378))),
    Arrow(((577, 374), (577, 430), (385, 430), (385, 524)), "quantised weights", (480, 425)),
    Arrow(((415, 558), (476, 558))),
    Arrow(((683, 546), (733, 514))),
    Arrow(((683, 558), (733, 564))),
    Arrow(((683, 570), (733, 616))),
)
#: Font size of file names, px.
_FONT = 12.5
_HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" \
font-family="Helvetica, Arial, sans-serif">
<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="{MUTED}"/></marker></defs>
<style>.f{{font:600 {_FONT}px ui-monospace,Menlo,Consolas,monospace;text-anchor:middle;\
fill:#0f172a}}
.s{{font-size:11.5px;text-anchor:middle;fill:{MUTED}}}.l{{font-size:12px;fill:{INK}}}
.z{{font-size:12.5px;font-weight:600;fill:{MUTED}}}</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
"""


def architecture() -> str:
    """Return the figure as SVG."""
    lines = [_HEAD.rstrip()]
    for zone in ZONES:
        x, y = zone.at
        lines += [_rect(zone, 12, 'stroke-dasharray="5 4"'), _text(zone.says, x + 14, y + 22, "z")]
    for box in BOXES:
        lines += [_rect(box, 8), *_names(box)]
    for arrow in ARROWS:
        corners = " ".join(f"{x},{y}" for x, y in arrow.points)
        line = f'fill="none" stroke="{MUTED}" stroke-width="1.6" marker-end="url(#a)"'
        lines.append(f'<polyline points="{corners}" {line}/>')
        if arrow.says:
            lines.append(_text(arrow.says, *arrow.at, "l", f' text-anchor="{arrow.anchor}"'))
    return "\n".join([*lines, "</svg>", ""])


def _rect(shape: Box | Zone, radius: int, more: str = 'stroke-width="1.4"') -> str:
    (x, y), (width, height) = shape.at, shape.size
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" '
        f'fill="{shape.fill}" stroke="{shape.edge}" {more}/>'
    )


def _names(box: Box) -> Iterator[str]:
    (x, y), (width, height) = box.at, box.size
    # A character of the monospace font is 0.602 of its size wide; a long path is set smaller.
    size = min(_FONT, (width - 10) / (0.602 * len(box.file)))
    fitted = "" if size == _FONT else f' style="font-size:{size:.1f}px"'
    says = box.says.split("\n")
    first = y + height / 2 - 4 - 8 * (len(says) - 1)
    yield _text(box.file, x + width / 2, first, "f", fitted)
    for row, text in enumerate(says):
        yield _text(text, x + width / 2, first + 19 + 16 * row, "s")


def _text(text: str, x: float, y: float, kind: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{more} class="{kind}">{escape(text)}</text>'
