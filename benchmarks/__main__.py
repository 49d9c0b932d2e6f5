"""``python -m benchmarks``: run all benchmarks, and print which targets hold on this machine.

Each benchmark runs in a process of its own, one at a time. The targets are those of
docs/performance.md (`benchmarks/targets.py`); all but the times of start-up are ratios to a named
baseline of the same run. The authors' training steps are measured too if checkouts are given:

    python -m benchmarks --quick --tcaf TCAF-GZSL --avmst ICME23_AVMST --avca AVCA-GZSL

The exit status is 0, or 1 if a benchmark failed to run; a missed target is printed, no error.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.checkouts import checked
from benchmarks.plan import BENCHMARKS, Ran, cuda_device, left_out, run
from benchmarks.summary import as_json, machine, markdown
from mdft.config.baselines import SystemName
from mdft.errors import UserError, unknown
from mdft.files import write_atomic


@dataclass(frozen=True)
class Options:
    """The settings of the run."""

    quick: bool = False
    """Few rounds and a part of the sizes: five minutes on two idle cores."""
    only: tuple[str, ...] = ()
    """Run only these benchmarks, such as startup."""
    out: Path | None = None
    """Folder for table.md, table.json and what each benchmark prints; created if missing."""
    tcaf: Path | None = None
    """A checkout of the authors' code."""
    avmst: Path | None = None
    """A checkout of the authors' code."""
    avca: Path | None = None
    """A checkout of the authors' code."""
    python: str = sys.executable
    """Interpreter for the authors' code, with the packages that it requires."""


def main(options: Options) -> int:
    """Run the benchmarks and print the table; return the exit status.

    Raises:
        UserError: a name or a checkout is not one, or ``--out`` is no folder.
    """
    names = [benchmark.name for benchmark in BENCHMARKS]
    for name in options.only:
        if name not in names:
            raise unknown("--only", name, names)
    paths: dict[SystemName, Path | None]
    paths = {"tcaf": options.tcaf, "avmst": options.avmst, "avca": options.avca}
    checkouts = {name: checked(name, path) for name, path in paths.items() if path}
    if options.out is not None:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {options.out}: {error.strerror}; name a folder") from error
    device = cuda_device()
    about, results = machine(device), list[Ran]()
    with tempfile.TemporaryDirectory(prefix="mdft-benchmark-") as temporary:
        logs = options.out or Path(temporary)
        for benchmark in BENCHMARKS:
            if options.only and benchmark.name not in options.only:
                continue
            if why := left_out(benchmark, device):
                results.append(Ran(benchmark.name, "left out", why))
            else:
                print(f"{benchmark.name} …", file=sys.stderr, flush=True)
                log = logs / f"{benchmark.name}.txt"
                results.append(
                    run(
                        benchmark,
                        quick=options.quick,
                        log=log,
                        checkouts=checkouts,
                        python=options.python,
                    )
                )
    text = markdown(about, results, quick=options.quick)
    if options.out is not None:
        content = json.dumps(
            as_json(about, results, quick=options.quick), indent=2, ensure_ascii=False
        )
        write_atomic(options.out / "table.md", text.encode())
        write_atomic(options.out / "table.json", f"{content}\n".encode())
    print(text, end="")
    return int(any(ran.status == "failed" for ran in results))


if __name__ == "__main__":
    try:
        status = main(tyro.cli(Options, prog="python -m benchmarks", description=__doc__))
    except UserError as error:
        print(error, file=sys.stderr)
        status = 2
    raise SystemExit(status)
