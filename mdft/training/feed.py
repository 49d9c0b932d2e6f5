"""Load batches onto the device: from device memory if the data set fits, else read ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mdft.config.train import FeedName
from mdft.data.dataset import EVENT_UNIT, Batch, ClipSet
from mdft.data.scale import CHUNK
from mdft.errors import UserError

#: Largest share of a GPU's free memory; the model, its activations and Adam need the rest.
SHARE = 0.5
#: Batches to read ahead of the current training step.
_AHEAD = 2

#: Clip indices of a batch, and its number of seconds T; None: the length of its longest clip.
Wanted = tuple[np.ndarray, int | None]


class Feed(Protocol):
    """Loads batches; every implementation returns the same bits as :meth:`ClipSet.batch`."""

    def batch(self, indices: np.ndarray, seconds: int | None = None) -> Batch:
        """The clips at ``indices`` on the device, as :meth:`ClipSet.batch` has them."""
        ...

    def batches(self, wanted: Iterable[Wanted]) -> Iterator[Batch]:
        """:meth:`batch` of each, in order."""
        ...


class Streamed:
    """Reads batches from memory or a memory map in a thread, ahead of the training steps.

    Args:
        clips: the data set.
        device: device of the batches.
    """

    def __init__(self, clips: ClipSet, device: torch.device) -> None:
        self.clips, self.device = clips, device

    def batch(self, indices: np.ndarray, seconds: int | None = None) -> Batch:
        """The clips at ``indices`` on the device, as :meth:`ClipSet.batch` has them."""
        return self._sent(self._read(indices, seconds))

    def batches(self, wanted: Iterable[Wanted]) -> Generator[Batch, None, None]:
        """:meth:`batch` of each, in order; a thread reads ahead."""
        with ThreadPoolExecutor(1, "batches") as reader:
            reading = deque()
            for indices, seconds in wanted:
                reading.append(reader.submit(self._read, indices, seconds))
                if len(reading) > _AHEAD:
                    yield self._sent(reading.popleft().result())
            while reading:
                yield self._sent(reading.popleft().result())

    def _read(self, indices: np.ndarray, seconds: int | None) -> Batch:
        batch = self.clips.batch(indices, seconds)
        return batch.pinned() if self.device.type == "cuda" else batch

    def _sent(self, batch: Batch) -> Batch:
        return batch.to(self.device, non_blocking=True)


class Resident:
    """Gathers batches on the device, which holds all clips with standardised features.

    Args:
        clips: the data set.
        device: device of the batches, with :func:`resident_bytes` of free memory.
    """

    def __init__(self, clips: ClipSet, device: torch.device) -> None:
        self.device, self.seconds_N = device, clips.seconds_N
        self.audio_MD = _kept(clips.audio_MD, device, partial(clips.standardised, "audio"))
        self.visual_MD = _kept(clips.visual_MD, device, partial(clips.standardised, "visual"))
        self.events_MKD = _kept(clips.events_MKD, device, lambda events: events)
        self.starts_N = torch.from_numpy(clips.offsets_N1[:-1]).to(device)
        self.lengths_N = torch.from_numpy(self.seconds_N).to(device)
        self.labels_N = torch.from_numpy(clips.labels_N).to(device)

    def batch(self, indices: np.ndarray, seconds: int | None = None) -> Batch:
        """The clips at ``indices`` on the device, as :meth:`ClipSet.batch` has them."""
        T = int(self.seconds_N[indices].max()) if seconds is None else seconds
        chosen_B = torch.from_numpy(indices).to(self.device, non_blocking=True)
        time_T = torch.arange(T, device=self.device)
        mask_BT = time_T < self.lengths_N[chosen_B, None]
        rows_BT = torch.where(mask_BT, self.starts_N[chosen_B, None] + time_T, 0)
        events_BTKD = _picked(self.events_MKD, rows_BT, mask_BT).float().mul_(EVENT_UNIT)
        return Batch(
            audio_BTD=_picked(self.audio_MD, rows_BT, mask_BT),
            visual_BTD=_picked(self.visual_MD, rows_BT, mask_BT),
            events_BTKD=events_BTKD,
            mask_BT=mask_BT,
            labels_B=self.labels_N[chosen_B],
        )

    def batches(self, wanted: Iterable[Wanted]) -> Iterator[Batch]:
        """:meth:`batch` of each, in order."""
        return (self.batch(*each) for each in wanted)


def feed_of(clips: ClipSet, device: torch.device, name: FeedName = "auto") -> Feed:
    """The feed of a configuration.

    Args:
        clips: the data set.
        device: device of the batches.
        name: ``"device"``: :class:`Resident`; ``"stream"``: :class:`Streamed`; ``"auto"``:
            resident on a GPU if the clips take at most ``SHARE`` of its free memory, else
            streamed, as on a CPU, whose memory already holds the memory maps.

    Raises:
        UserError: ``name`` is ``"device"`` and the clips do not fit.
    """
    if name == "stream" or (name == "auto" and device.type != "cuda"):
        return Streamed(clips, device)
    if device.type == "cuda":
        needed, free = resident_bytes(clips), torch.cuda.mem_get_info(device)[0]
        if needed > SHARE * free:
            if name == "auto":
                return Streamed(clips, device)
            raise UserError(
                f"--compute.feed device: the clips take {needed / 2**30:.1f} GiB, expected at most "
                f"{SHARE * free / 2**30:.1f} GiB, half of the free memory of {device}; use stream"
            )
    return Resident(clips, device)


def resident_bytes(clips: ClipSet) -> int:
    """Bytes that :class:`Resident` needs: features as float32, events as stored."""
    return 4 * (clips.audio_MD.size + clips.visual_MD.size) + clips.events_MKD.nbytes


def _kept(
    values_MX: np.ndarray, device: torch.device, convert: Callable[[np.ndarray], np.ndarray]
) -> Tensor:
    """Copy all rows to the device, converted one chunk at a time."""
    starts = range(0, len(values_MX), CHUNK)
    chunks = (convert(np.array(values_MX[start : start + CHUNK])) for start in starts)
    out_MX = torch.from_numpy(convert(np.array(values_MX[:0])))
    out_MX = out_MX.new_empty((len(values_MX), *out_MX.shape[1:]), device=device)
    for start, chunk in zip(starts, chunks, strict=True):
        out_MX[start : start + len(chunk)] = torch.from_numpy(chunk)
    return out_MX


def _picked(values_MX: Tensor, rows_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Rows where a second exists, zeros elsewhere."""
    picked = values_MX[rows_BT]
    return picked.masked_fill_(~mask_BT.reshape(*mask_BT.shape, *[1] * (picked.ndim - 2)), 0)
