"""``python -m mdft.data.rendered``: list the embedded benchmark's classes or export clips."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from mdft.cli import parse, run_main
from mdft.config.rendered import RenderedConfig
from mdft.errors import UserError


@dataclass(frozen=True)
class Arguments:
    """List the classes of the embedded benchmark, or export clips of a class as MP4.

    Attributes:
        export: name of the class to export.
        out: folder for the MP4 files.
        clips: indices of the clips within the class.
        list: print all classes: name, kind, scenes.
        config: parameters of the benchmark.
    """

    export: str | None = None
    out: Path = Path("clips")
    clips: tuple[int, ...] = (0, 1, 2)
    list: bool = False
    config: Annotated[RenderedConfig, tyro.conf.arg(name="")] = field(
        default_factory=RenderedConfig
    )


def main(arguments: Arguments) -> int:
    """Run the command; return the exit status."""
    # Imported here, so that --help does not import numba and PyAV.
    from mdft.data.rendered.content import content_of
    from mdft.data.rendered.mp4 import export_mp4

    if arguments.export is not None:
        paths = export_mp4(arguments.config, arguments.export, arguments.out, arguments.clips)
        print(*paths, sep="\n")
    elif arguments.list:
        arguments.config.check()
        for c in content_of(arguments.config).classes:
            print(f"{c.name:36} {c.kind:12} {' '.join(c.scenes)}")
    else:
        raise UserError("nothing to do: give --list, or --export CLASS --out DIR")
    return 0


if __name__ == "__main__":
    run_main(lambda: main(parse(Arguments, "python -m mdft.data.rendered")))
