"""``python -m export.predict RUN CLIP… --backend NAME``: predict, motion simulated.

This is ``python -m mdft.predict``, but the spikes of the motion branch come from a simulator; the
dense part runs in PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path  # noqa: F401, in the inherited annotations, which pdoc resolves here
from typing import Annotated  # noqa: F401, too

import tyro  # noqa: F401, too
from rich.console import Console

from hardware.backends import find_backend
from mdft import predict
from mdft.cli import parse, run_main
from mdft.errors import UserError


@dataclass(frozen=True)
class Command(predict.Command):
    """Name the class of video files, with the motion branch in a simulator."""

    backend: str = field(kw_only=True)
    """reference_float, reference_int, lava_float, lava_fixed or netx."""


def main(command: Command) -> int:
    """Run the command; return 0, 1 if a clip could not be read, or 2 if none could.

    Raises:
        UserError: the backend is unknown or cannot express the graph, or the run has no spiking
            motion branch; see also ``mdft.predict``.
    """
    predict.check(command)
    backend = find_backend(command.backend)
    # Imported here, so that --help and a mistyped flag do not import torch.
    from export.simulated import SimulatedMotion
    from mdft.inference.classifier import load
    from mdft.model.mdft import MDFT
    from mdft.systems.mdft import embedded

    classifier = load(command.run, **command.feature_network)
    if not (isinstance(classifier.model, MDFT) and classifier.model.spiking):
        raise UserError(f"{command.run}: this run has no spiking motion branch to simulate")
    motion = SimulatedMotion(classifier.model, backend)
    status = predict.label(
        command, replace(classifier, embedder=lambda batch: embedded(motion(batch), batch))
    )
    layers = motion.layers().values()
    differing, compared = sum(x.differing for x in layers), sum(x.compared for x in layers)
    Console(stderr=command.json).print(
        f"motion in {command.backend}: {differing} of {compared:,} spikes differ from PyTorch's",
        highlight=False,
    )
    return status


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m export.predict")))
