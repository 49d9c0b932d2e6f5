"""The table of ``python -m benchmarks``: the machine, the targets and the figures of one run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.plan import Ran
from benchmarks.targets import TARGETS, Judged, Target

_PACKAGES = ("torch", "numpy", "numba", "av", "snntorch")
_PEERS = ("eventcv", "evlib", "spikingjelly", "norse", "sinabs")


def machine(device: str | None) -> dict[str, Any]:
    """Describe this machine: processor, cores, threads, load, GPU, and versions.

    Args:
        device: the name of the GPU, or None.
    """
    given = {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "cores of this process": allowed,
        "threads": given.get("OMP_NUM_THREADS", "default of torch"),
        "load before": [round(x, 2) for x in os.getloadavg()],
        "GPU": device or "none",
        "Python": platform.python_version(),
        **{name: found for name in (*_PACKAGES, *_PEERS) if (found := _version(name))},
    }


def _processor() -> str:
    """The model of the processor, from Linux if it has one, else from Python."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def judged(
    results: Sequence[Ran], targets: Sequence[Target] = TARGETS
) -> list[tuple[Target, Judged, str]]:
    """Return each target, its verdict, and for one that was not measured the reason.

    Args:
        results: the benchmarks of the run.
        targets: the targets to judge.
    """
    by_name = {ran.name: ran for ran in results}
    found = []
    for target in targets:
        ran = by_name.get(target.benchmark)
        judgement = target.judge(ran.figures if ran else {})
        why = ""
        if judgement.verdict == "not measured":
            why = "not chosen by --only" if ran is None else ran.why or "no such figure in this run"
        found.append((target, judgement, why))
    return found


def markdown(about: Mapping[str, Any], results: Sequence[Ran], *, quick: bool) -> str:
    """Return the tables in Markdown.

    Args:
        about: the result of :func:`machine`.
        results: the benchmarks of the run.
        quick: whether it was a quick run.
    """
    lines = ["# Benchmarks on this machine", ""]
    lines += ["Quick run: few rounds, a part of the sizes." if quick else "Full run.", ""]
    lines += [f"- {name}: {_text(value)}" for name, value in about.items()]
    lines += ["", "## Targets", "", "Of several figures the worst one counts.", ""]
    lines += ["| target holds | measured | divided by | target | here | figure |"]
    lines += ["|---|---|---|---|---:|---|"]
    for target, found, why in judged(results):
        here = "" if found.value is None else f"{found.value:.2f}"
        cells = found.verdict, target.what, target.baseline, target.bound, here, found.name or why
        lines.append(_row(*cells))
    lines += [
        "",
        "## Benchmarks",
        "",
        "| benchmark | status | s | left out |",
        "|---|---|---:|---|",
    ]
    lines += [_row(f"`{r.name}`", r.status, f"{r.seconds:.0f}", r.why) for r in results]
    lines += ["", "## Figures", "", "| benchmark | figure | value |", "|---|---|---:|"]
    for ran in results:
        lines += [_row(f"`{ran.name}`", name, f"{x:.3g}") for name, x in ran.figures.items()]
    return "\n".join(lines) + "\n"


def as_json(about: Mapping[str, Any], results: Sequence[Ran], *, quick: bool) -> dict[str, Any]:
    """Return the content of :func:`markdown` for JSON."""
    targets = [
        {**asdict(target), "bound": target.bound, **asdict(found), "why": why}
        for target, found, why in judged(results)
    ]
    return {
        "machine": dict(about),
        "quick": quick,
        "targets": targets,
        "benchmarks": [asdict(ran) for ran in results],
    }


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
