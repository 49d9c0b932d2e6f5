"""``python -m mdft.data.order``: list the classes of the benchmark of order or export clips."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from mdft.cli import parse, run_main
from mdft.config.order import OrderConfig
from mdft.data.rendered.__main__ import Arguments, main


@dataclass(frozen=True)
class OrderArguments(Arguments):
    """List the classes of the benchmark of order, or export clips of a class as MP4.

    Attributes:
        export: name of the class to export.
        out: folder for the MP4 files.
        clips: indices of the clips within the class.
        list: print all classes: name, kind, scenes.
        config: parameters of the benchmark.
    """

    config: Annotated[OrderConfig, tyro.conf.arg(name="")] = field(default_factory=OrderConfig)


if __name__ == "__main__":
    run_main(lambda: main(parse(OrderArguments, "python -m mdft.data.order")))
