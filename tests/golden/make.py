"""``python -m tests.golden.make [--force]``: the golden traces, computed again.

Without ``--force`` no file is overwritten: what a change of the code changes is printed, and the
exit status is 1. Look at it before you force it, and say in the commit why it had to change.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro

from tests.golden.files import FOLDER, GOLDEN, Golden, differences, read, write


@dataclass(frozen=True)
class Make:
    """Compute the golden traces and compare them with the files.

    Attributes:
        out: folder of the files.
        force: overwrite those that differ.
    """

    out: Path = FOLDER
    force: bool = False


def make(config: Make, golden: Mapping[str, Golden] = GOLDEN) -> int:
    """Write what is missing, and with force what differs; 1 if something differs and is kept."""
    kept = 0
    for name, entry in golden.items():
        path = config.out / name
        with tempfile.TemporaryDirectory(dir=config.out) as folder:
            new = Path(folder) / name
            write(new, entry.make(config.out))
            changed = differences(read(path), read(new), entry.rtol) if path.exists() else []
            written = not path.exists() or (bool(changed) and config.force)
            if written:
                new.replace(path)
        kept += bool(changed) and not written
        print(f"{name}: {'written' if written else 'KEPT' if changed else 'unchanged'}")
        for line in changed:
            print(f"  {line}")
    if kept:
        print(f"{kept} differ; --force overwrites them")
    return int(kept > 0)


if __name__ == "__main__":
    sys.exit(make(tyro.cli(Make, description=__doc__)))
