"""Batches on the device: resident or streamed, the bits of ``ClipSet.batch``."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mdft.config.train import ComputeConfig
from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import STAGES
from mdft.data.standardise import standardised
from mdft.errors import UserError
from mdft.training.batches import TrainingBatches
from mdft.training.feed import Feed, Resident, Streamed, feed_of, resident_bytes
from mdft.training.trainer import Trainer
from tests.mdft.small import random_clips, small_config

pytestmark = pytest.mark.rounding

CPU = torch.device("cpu")
CLIPS = random_clips(ragged=True)
SCALED = standardised(CLIPS)


def feeds(clips: ClipSet) -> list[Feed]:
    return [Streamed(clips, CPU), Resident(clips, CPU)]


def same(found: Batch, expected: Batch) -> bool:
    return all(
        torch.equal(getattr(found, name), value) and getattr(found, name).dtype == value.dtype
        for name, value in vars(expected).items()
    )


@given(
    indices=st.lists(st.integers(0, len(CLIPS) - 1), min_size=1, max_size=9),
    longer=st.integers(0, 2) | st.none(),
    scaled=st.booleans(),
)
def test_every_feed_gives_the_bits_of_the_clip_set(indices, longer, scaled):
    clips, chosen = SCALED if scaled else CLIPS, np.array(indices)
    seconds = None if longer is None else int(clips.seconds_N[chosen].max()) + longer
    expected = clips.batch(chosen, seconds)
    for feed in feeds(clips):
        assert same(feed.batch(chosen, seconds), expected)
        assert same(next(iter(feed.batches([(chosen, seconds)]))), expected)


def test_batches_come_in_order_and_are_read_ahead_by_a_thread():
    read = []

    class Recorded:
        def __getattr__(self, name: str):
            return getattr(CLIPS, name)

        def batch(self, indices: np.ndarray, seconds: int | None = None) -> Batch:
            read.append((int(indices[0]), threading.current_thread().name))
            return CLIPS.batch(indices, seconds)

    wanted = [(np.array([i]), None) for i in range(7)]
    stream = Streamed(Recorded(), CPU).batches(wanted)  # pyright: ignore[reportArgumentType]
    first = next(stream)
    assert same(first, CLIPS.batch(np.array([0])))
    rest = list(stream)
    assert [int(b.labels_B) for b in rest] == [int(CLIPS.labels_N[i]) for i in range(1, 7)]
    assert [index for index, _ in read] == list(range(7))
    assert all(name.startswith("batches") for _, name in read)


def test_a_reader_that_is_left_leaves_no_thread():
    before = threading.active_count()
    stream = Streamed(CLIPS, CPU).batches([(np.array([i]), None) for i in range(50)])
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_an_error_while_reading_ahead_is_raised_where_the_batch_is_asked_for():
    stream = Streamed(CLIPS, CPU).batches([(np.array([0]), None), (np.array([10**6]), None)])
    next(stream)
    with pytest.raises(IndexError):
        next(stream)


def test_a_run_is_the_same_bit_for_bit_whatever_feeds_it(tmp_path: Path):
    clips = standardised(random_clips(ragged=True))
    found = []
    for name in ("stream", "device"):
        (tmp_path / name).mkdir()
        config = dataclasses.replace(small_config(), compute=ComputeConfig(feed=name))
        Trainer(config, clips, tmp_path / name, lambda record: None).run()
        found.append((tmp_path / name / "model.safetensors").read_bytes())
    assert found[0] == found[1]


def test_an_epoch_is_drawn_before_it_is_read_and_no_lesson_differs():
    """Draws of clips and negatives take turns, whoever reads the batches."""
    generator = torch.Generator().manual_seed(3)
    batches = TrainingBatches(CLIPS, Streamed(CLIPS, CPU), STAGES[0], 8, generator)
    found = list(batches.epoch(negatives=True))
    again = torch.Generator().manual_seed(3)
    single = TrainingBatches(CLIPS, Resident(CLIPS, CPU), STAGES[0], 8, again)
    for (chosen, batch), (chosen_2, lesson_2) in zip(
        found, single.epoch(negatives=True), strict=True
    ):
        np.testing.assert_array_equal(chosen, chosen_2)
        assert batch.negatives_B is not None and lesson_2.negatives_B is not None
        assert torch.equal(batch.negatives_B, lesson_2.negatives_B)
        assert (batch.targets_B[batch.negatives_B] != batch.targets_B).all()
    assert len(found) == batches.steps


def test_auto_streams_on_a_cpu_and_stays_on_a_gpu_that_has_room(monkeypatch):
    assert isinstance(feed_of(CLIPS, CPU), Streamed)
    assert isinstance(feed_of(CLIPS, CPU, "device"), Resident)
    needed, cuda = resident_bytes(CLIPS), torch.device("cuda")
    monkeypatch.setattr("mdft.training.feed.Resident", lambda clips, device: "resident")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * needed, 0))
    assert feed_of(CLIPS, cuda) == "resident"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * needed - 1, 0))
    assert isinstance(feed_of(CLIPS, cuda), Streamed)
    with pytest.raises(UserError, match=r"--compute\.feed device: the clips take .*use stream"):
        feed_of(CLIPS, cuda, "device")


def test_resident_bytes_are_those_of_its_tensors():
    kept = Resident(CLIPS, CPU)
    tensors = (kept.audio_MD, kept.visual_MD, kept.events_MKD)
    assert resident_bytes(CLIPS) == sum(x.numel() * x.element_size() for x in tensors)


@pytest.mark.gpu
def test_on_a_gpu_both_feeds_give_the_same_bits():
    cuda, chosen = torch.device("cuda"), np.arange(20)
    expected = SCALED.batch(chosen)
    for feed in (Streamed(SCALED, cuda), Resident(SCALED, cuda)):
        assert same(feed.batch(chosen).to("cpu"), expected)
