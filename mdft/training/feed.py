"""Batches on the device: gathered there where the whole data set fits, else read ahead."""

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

#: Of the memory that a GPU has free; the model, its activations and Adam need the rest.
SHARE = 0.5
#: Batches that are read while one is learned from.
_AHEAD = 2

#: Clip indices of a batch, and its seconds T; None: as the longest clip has.
Wanted = tuple[np.ndarray, int | None]


class Feed(Protocol):
    """Where batches come from; both ways give the bits of :meth:`ClipSet.batch`."""

    def batch(self, indices: np.ndarray, seconds: int | None = None) -> Batch:
        """The clips at ``indices`` on the device, as :meth:`ClipSet.batch` has them."""
        ...

    def batches(self, wanted: Iterable[Wanted]) -> Iterator[Batch]:
        """:meth:`batch` of each, in order."""
        ...


class Streamed:
    """Batches read from memory, or from a memory map, while the ones before are learned from.

    Args:
        clips: the data set.
        device: of the batches.
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
    """Batches gathered on the device, which holds all clips; features standardised beforehand.

    Args:
        clips: the data set.
        device: of the batches; has room for :func:`resident_bytes`.
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
    """The feed that a configuration asks for.

    Args:
        clips: the data set.
        device: of the batches.
        name: ``"auto"``: resident on a GPU of which it takes no more than ``SHARE`` of the free
            memory; streamed otherwise, since on a CPU the maps are in its memory already.

    Raises:
        UserError: ``"device"``, and the clips do not fit.
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
                f"{SHARE * free / 2**30:.1f} GiB, half of what {device} has free; give stream"
            )
    return Resident(clips, device)


def resident_bytes(clips: ClipSet) -> int:
    """What :class:`Resident` keeps of these clips: features as float32, events as stored."""
    return 4 * (clips.audio_MD.size + clips.visual_MD.size) + clips.events_MKD.nbytes


def _kept(
    values_MX: np.ndarray, device: torch.device, convert: Callable[[np.ndarray], np.ndarray]
) -> Tensor:
    """All rows on the device, converted a chunk at a time."""
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
