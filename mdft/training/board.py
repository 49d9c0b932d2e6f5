"""The TensorBoard log of a run."""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore (made by protoc)
from torch.utils.tensorboard import SummaryWriter

from mdft.data.cells import event_images
from mdft.data.dataset import ClipSet

#: Animations of events: how many, from which split, and pixels per side.
_CLIPS, _SPLIT, _SIDE = 4, "val_unseen", 128


class Board:
    """Logs losses, scores, firing rates and thresholds of every epoch, and events of some clips.

    Writes to ``tensorboard`` in the run's folder.

    Args:
        folder: the run's folder.
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
        """Log one record of :class:`mdft.training.trainer.Trainer`; steps are not logged."""
        if "test" in record:
            for name in ("seen", "unseen", "hm", "zsl"):
                self.writer.add_scalar(f"test/{name}", record["test"][name], 0)
        elif "loss" in record:
            for group in (
                "loss",
                "val",
                "firing_rates",
                "firing_spread",
                "dead_neurons",
                "thresholds",
            ):
                for name, value in record.get(group, {}).items():
                    tag = f"{record['stage']}/{group}/{name}"
                    self.writer.add_scalar(tag, value, record["epoch"])
            for text in record["warnings"]:
                self.writer.add_text(f"{record['stage']}/warnings", text, record["epoch"])

    def show(self, clips: ClipSet) -> None:
        """Log the event bins of one clip of each of a few unseen classes as animations."""
        writer = self.writer.file_writer
        assert writer is not None, "the writer is closed"
        indices = clips.splits[_SPLIT]
        labels, firsts = np.unique(clips.labels_N[indices], return_index=True)
        for label, index in list(zip(labels, indices[firsts], strict=True))[:_CLIPS]:
            first, last = clips.offsets_N1[index : index + 2]
            name = f"events/{clips.classes[int(label)]}/{clips.names[int(index)]}"
            value = Summary.Value(tag=name, image=_animation(clips.events_MKD[first:last]))
            writer.add_summary(Summary(value=[value]), 0)


def _animation(bins_TKD: np.ndarray) -> Summary.Image:
    """An animated GIF in real time; TensorBoard's own encoder needs moviepy."""
    T, K, D = bins_TKD.shape
    pixels = np.round(255 * event_images(bins_TKD.reshape(T * K, D))).astype(np.uint8)
    size = (_SIDE, _SIDE)
    frames = [Image.fromarray(x).resize(size, Image.Resampling.NEAREST) for x in pixels]
    file = io.BytesIO()
    first, *others = frames
    first.save(file, "GIF", save_all=True, append_images=others, duration=round(1000 / K), loop=0)
    return Summary.Image(
        height=_SIDE, width=_SIDE, colorspace=3, encoded_image_string=file.getvalue()
    )
