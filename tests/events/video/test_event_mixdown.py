"""The mixdown to one channel: level, weights, sample formats and invalid samples."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import ArgumentError

from events.video.footage import Wanted
from events.video.isolated import IsolatedReader
from events.video.mixdown import ORDER, Mixer, weights_of
from tests.events.films import write_film

RATE = 8000
# Every layout with a name in FFmpeg 8, and layouts that have none.
NAMED = [
    *("mono", "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "3.1", "5.0"),
    *("5.0(side)", "4.1", "5.1", "5.1(side)", "6.0", "6.0(front)", "3.1.2", "hexagonal", "6.1"),
    *("6.1(back)", "6.1(front)", "7.0", "7.0(front)", "7.1", "7.1(wide)", "7.1(wide-side)"),
    *("5.1.2", "5.1.2(back)", "octagonal", "cube", "5.1.4", "7.1.2", "7.1.4", "7.2.3", "9.1.4"),
    *("9.1.6", "hexadecagonal", "binaural", "downmix", "22.2"),
]
UNNAMED = [f"{n} channels" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 20, 24, 32, 64)]
UNUSUAL = ["FL", "BC", "LFE", "FL+LFE", "FL+FR+FC+BL", "BL+BR", "TFL+TFR", "ambisonic 1",
           "ambisonic 2+stereo"]  # fmt: skip


def frame_of(samples: np.ndarray, layout: str, rate: int = RATE) -> av.AudioFrame:
    """A frame of the samples (n, channels), packed flt."""
    block = np.ascontiguousarray(samples, np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def channels_of(layout: str) -> int:
    return av.AudioLayout(layout).nb_channels


def mixed(frame: av.AudioFrame) -> np.ndarray:
    return Mixer().mix(frame).to_ndarray()[0]


def as_format(frame: av.AudioFrame, name: str) -> av.AudioFrame:
    (converted,) = av.AudioResampler(format=name).resample(frame)
    assert converted.format.name == name
    return converted


@pytest.mark.parametrize("layout", [*NAMED, *UNNAMED, *UNUSUAL])
def test_equal_channels_keep_their_level(layout: str) -> None:
    """The mixdown of a sound that is the same in all channels is that sound, in any layout."""
    sound = np.random.default_rng(0).uniform(-1, 1, 500).astype(np.float32)
    frame = frame_of(np.repeat(sound[:, None], channels_of(layout), axis=1), layout)
    assert np.abs(mixed(frame) - sound).max() < 2e-6


@pytest.mark.parametrize("layout", [*NAMED, *UNNAMED])
def test_different_channels_mix_as_ffmpeg_mixes_them_to_16_bits(layout: str) -> None:
    """For integers FFmpeg normalises its weights, as does ``ffmpeg -ac 1``."""
    count = channels_of(layout)
    sound = np.random.default_rng(1).uniform(-1, 1, (500, count))
    mixer = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    try:
        (reference,) = mixer.resample(as_format(frame_of(sound, layout), "s16"))
        expected = reference.to_ndarray()[0] / 32768
    except ArgumentError:  # FFmpeg does not mix it: the mean of the channels
        assert layout == "binaural" or count in (9, 11, 13, 20, 32, 64)
        expected = sound.mean(axis=1)
    found = mixed(as_format(frame_of(sound, layout), "s16"))
    assert np.abs(found - expected).max() < 6 / 32768


@pytest.mark.parametrize(
    "channels,weights",
    [
        (("FL", "FR"), (1 / 2, 1 / 2)),
        # FL and FR count √½, each surround channel ½, the centre 1 and LFE 0.
        (("FL", "FR", "FC", "LFE", "BL", "BR"), (2**-0.5, 2**-0.5, 1, 0, 0.5, 0.5)),
        (("FC", "FR", "FL", "SR", "SL", "LFE"), (1, 2**-0.5, 2**-0.5, 0.5, 0.5, 0)),
        (("FL", "FR", "FC", "BL"), (1, 1, 1, 1)),
        (("FL", "LFE"), (1, 0)),
        (("LFE", "LFE2"), (1, 1)),
        (("FL", "FL"), (1, 1)),
        (("AMBI0", "AMBI1", "AMBI2", "AMBI3"), (1, 0, 0, 0)),
        (("FL", "USR77", "UNSD"), (1, 1, 0)),
        (("NONE",) * 9, (1,) * 9),
    ],
)
def test_weights_by_hand(channels: tuple[str, ...], weights: tuple[float, ...]) -> None:
    expected = np.array(weights) / sum(weights)
    assert np.allclose(weights_of(channels), expected, atol=1e-6)


def test_the_order_of_the_channels_is_that_of_ffmpeg() -> None:
    for pair in pairwise(ORDER):
        layout = av.AudioLayout("+".join(pair))
        assert tuple(channel.name for channel in layout.channels) == pair


@pytest.mark.parametrize("layout", ["mono", "stereo", "7.1", "9 channels", "22.2"])
@pytest.mark.parametrize(
    "sample_format,step",
    [("u8", 2**-7), ("s16", 2**-15), ("s32", 2**-23), ("s64", 2**-23), ("flt", 0), ("dbl", 0)],
)
def test_every_sample_format_has_the_same_scale(
    layout: str, sample_format: str, step: float
) -> None:
    sound = np.random.default_rng(2).uniform(-0.99, 0.99, 300).astype(np.float32)
    frame = frame_of(np.repeat(sound[:, None], channels_of(layout), axis=1), layout)
    for name in (sample_format, sample_format + "p"):
        assert np.abs(mixed(as_format(frame, name)) - sound).max() < step + 2e-6


def test_samples_that_are_no_amplitudes_are_silent_and_counted() -> None:
    sound = np.full((10, 2), 0.5, np.float32)
    sound[2, 0], sound[3, 1], sound[4], sound[5, 0] = np.nan, np.inf, -np.inf, 1e30
    mixer = Mixer()
    found = mixer.mix(frame_of(sound, "stereo")).to_ndarray()[0]
    assert found.tolist() == [0.5, 0.5, 0.25, 0.25, 0, 0.25, 0.5, 0.5, 0.5, 0.5]
    assert mixer.not_finite == 5


@pytest.mark.parametrize(
    "tag,channels",
    [(121, "FL FR FC LFE SL SR"), (122, "FL FR SL SR FC LFE"), (124, "FC FL FR SL SR LFE")],
)
def test_the_channel_orders_of_quicktime(tmp_path: Path, tag: int, channels: str) -> None:
    """Apple's layouts MPEG_5_1_A, B and D; PyAV alone ends the process at the last two."""
    noise = np.random.default_rng(3).uniform(-1, 1, (6, RATE))
    path = write_film(tmp_path / "a.mov", 10, 10, noise, RATE, layout="5.1")
    data = bytearray(path.read_bytes())
    at = data.index(b"chan") + 8  # behind the name, version and flags
    assert struct.unpack_from(">II", data, at) == (1 << 16, 0x3F)
    struct.pack_into(">II", data, at, tag << 16 | 6, 0)
    path.write_bytes(data)
    with IsolatedReader() as reader:
        footage = reader.read(Wanted(str(path), sound_rate=RATE))
    weight = {"FL": 2**-0.5, "FR": 2**-0.5, "FC": 1, "LFE": 0, "SL": 0.5, "SR": 0.5}
    weights = np.array([weight[name] for name in channels.split()])
    expected = weights @ (np.rint(noise * 32767) / 32768) / weights.sum()
    assert np.abs(footage.sound - expected).max() < 1e-5
    assert footage.remarks == ()
