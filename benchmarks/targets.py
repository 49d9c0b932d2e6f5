"""The targets of docs/performance.md, and whether a run's figures meet them.

This table is the only place of the targets: the list in docs/performance.md is
:func:`targets_markdown`, which a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.gpu.report import TARGETS as GPU_TARGETS

Verdict = Literal["holds", "missed", "not measured"]


@dataclass(frozen=True)
class Target:
    """A bound on figures of one benchmark.

    Attributes:
        benchmark: the module, without ``benchmarks.``.
        figures: a regular expression that matches the whole name of the figures that it bounds.
        what: the measured quantity.
        baseline: what it is divided by; "1 s" for times by the clock.
        limit: the bound.
        least: True if the figures must be at least the limit, False if at most.
    """

    benchmark: str
    figures: str
    what: str
    baseline: str
    limit: float
    least: bool = False

    @property
    def bound(self) -> str:
        """The bound as text, such as ``≤ 1.15``."""
        return f"{'≥' if self.least else '≤'} {self.limit:g}"

    def judge(self, figures: Mapping[str, float]) -> Judged:
        """Return whether all figures of this target are within the bound, and the worst of them.

        >>> target = Target("x", "step, B .*", "step", "products", 1.25)
        >>> target.judge({"step, B 64": 1.3, "step, B 256": 1.2, "other": 9.0})
        Judged(verdict='missed', name='step, B 64', value=1.3)
        """
        named = {name: x for name, x in figures.items() if re.fullmatch(self.figures, name)}
        if not named:
            return Judged("not measured")
        name = (min if self.least else max)(named, key=named.__getitem__)
        holds = named[name] >= self.limit if self.least else named[name] <= self.limit
        return Judged("holds" if holds else "missed", name, named[name])


@dataclass(frozen=True)
class Judged:
    """A target in one run.

    Attributes:
        verdict: the result.
        name: the worst figure.
        value: its value.
    """

    verdict: Verdict
    name: str = ""
    value: float | None = None


def _divided(text: str) -> tuple[str, str]:
    """Return quantity and baseline of a target of :mod:`benchmarks.gpu.report`."""
    what, _, baseline = text.partition(" over ")
    return f"{what}, on a GPU", baseline or "1 s"


#: A target a line. Ratios of times are of medians or of the least of several rounds in one run.
TARGETS: tuple[Target, ...] = (
    Target(
        "events", "eventcv / ours, .*", "processor time of eventcv, per clip and per event",
        "`frames_to_events`", 10, least=True,
    ),
    Target("events", "events / decoding, .*", "events of a clip", "decoding the clip", 1),
    Target(
        "motion_branch", "motion branch / matrix products, .*",
        "motion branch, forward and backward, one thread", "its matrix products", 1.15,
    ),
    Target(
        "training", "MDFT / its products, .*", "training step of MDFT, 512 wide",
        "its dense matrix products", 1.25,
    ),
    Target(
        "training", "TCaF, authors' / MDFT, .*", "step of TCaF by its authors' code",
        "training step of MDFT", 1, least=True,
    ),
    Target(
        "training", "(TCaF|AVMST), authors' / MDFT, .*",
        "steps of TCaF and AVMST by their authors' code", "training step of MDFT", 5, least=True,
    ),
    Target("startup", "import (mdft|events|hardware)", "import of a package", "1 s", 0.3),
    Target("startup", ".* --help", "`--help` of a command", "1 s", 1),
    Target("startup", "mdft.predict", "`mdft.predict` on a clip of 1.2 s", "1 s", 3),
    Target("startup", "mdft.doctor", "`mdft.doctor`", "1 s", 10),
    *(
        Target(
            "gpu", re.escape(t.text), *_divided(t.text), t.bound, least=t.least
        )
        for t in GPU_TARGETS
    ),
)  # fmt: skip


def targets_markdown(targets: Sequence[Target] = TARGETS) -> str:
    """Return the table of targets as docs/performance.md has it."""
    lines = ["| benchmark | measured | divided by | target |", "|---|---|---|---|"]
    lines += [f"| `{t.benchmark}` | {t.what} | {t.baseline} | {t.bound} |" for t in targets]
    return "\n".join(lines) + "\n"
