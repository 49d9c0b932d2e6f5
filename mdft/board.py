"""The TensorBoard log of a run."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class Board:
    """Losses, scores and firing rates of every epoch, under the run's ``tensorboard`` folder.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.writer = SummaryWriter(folder / "tensorboard")

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.close()

    def __call__(self, record: dict[str, Any]) -> None:
        """Log one record of :class:`mdft.trainer.Trainer`; steps are not logged."""
        if "test" in record:
            for name in ("seen", "unseen", "hm", "zsl"):
                self.writer.add_scalar(f"test/{name}", record["test"][name], 0)
        elif "loss" in record:
            for group in ("loss", "val", "firing_rates", "firing_spread", "dead_neurons"):
                for name, value in record.get(group, {}).items():
                    tag = f"{record['stage']}/{group}/{name}"
                    self.writer.add_scalar(tag, value, record["epoch"])
            for text in record["warnings"]:
                self.writer.add_text(f"{record['stage']}/warnings", text, record["epoch"])
