"""``python -m benchmarks.gpu --out DIR``: measure everything on a GPU, within nine minutes.

Each part runs in a process of its own with its own time limit, and its result is on disk at once:
``DIR/PART.json``, and what it printed in ``DIR/PART.log``. A part that fails does not end the
others; what was not measured is named with its reason, and then the exit status is 1. At the end
``DIR/table.md`` has the targets, whether they hold, and all figures.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.figures import write_figures
from benchmarks.gpu import process
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.report import figures, markdown
from benchmarks.gpu.results import Result
from benchmarks.gpu.sizes import DRY, Sizes
from mdft.cli import parse, run_main
from mdft.errors import UserError, unknown
from mdft.files import write_atomic

#: The limits of a dry run, times those of a GPU: a busy CPU is no failure.
_DRY_LIMITS = 10


@dataclass(frozen=True)
class Options:
    """Measure everything on a GPU, within nine minutes."""

    out: Path
    """The folder of the results; new or empty."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run all parts on the CPU at tiny sizes, to see that they run."""
    only: tuple[str, ...] = ()
    """Run only these parts."""


def run(options: Options) -> list[Result]:
    """Run the parts in their order and write the table.

    Args:
        options: the settings.

    Raises:
        UserError: there is no GPU and this is no dry run, a part is unknown, or the folder has
            something in it.
    """
    for name in options.only:
        if name not in PARTS:
            raise unknown("--only", name, PARTS)
    sizes = DRY if options.dry_run else Sizes()
    _check_device(sizes)
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise UserError(f"--out {options.out}: there is something, expected a new or empty folder")
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"processes start by {process.start_method()}", flush=True)
    results = []
    for name, (measure, limit) in PARTS.items():
        if options.only and name not in options.only:
            continue
        limit *= _DRY_LIMITS if sizes.dry else 1
        print(f"{name}, at most {limit:g} s …", flush=True)
        results.append(process.run(name, partial(measure, sizes), limit, options.out))
        print("\n".join([_line(results[-1]), *results[-1].missing]), flush=True)
        write_atomic(options.out / "table.md", markdown(results, dry=sizes.dry).encode())
        write_figures(options.out / "figures.json", figures(results))
    return results


def _check_device(sizes: Sizes) -> None:
    if sizes.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError("torch finds no CUDA device; use --dry-run to run it on the CPU")


def _line(result: Result) -> str:
    return f"{result.part}: {result.state}, {len(result.rows)} rows, {result.seconds:.1f} s"


def main() -> int:
    """Run the parts, print the table, and return 1 if something was not measured."""
    options = parse(Options, "python -m benchmarks.gpu")
    results = run(options)
    print((options.out / "table.md").read_text())
    missing = sum(len(result.missing) for result in results)
    if missing:
        print(f"{missing} things were not measured, as listed above", file=sys.stderr)
    return int(missing > 0)


if __name__ == "__main__":
    run_main(main)
