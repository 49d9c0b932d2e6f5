"""Luma conventions and the log intensity table against their formulas and against Pillow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

import events
from events import kernels
from events.response import LINEAR_BELOW, log_table


def test_rgb_to_luma_is_pillows() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (20, 300, 400, 3), dtype=np.uint8)
    expected = np.stack([np.asarray(Image.fromarray(frame).convert("L")) for frame in rgb])
    assert np.array_equal(events.rgb_to_luma(rgb), expected)


def test_rgb_to_luma_by_hand() -> None:
    colours = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    # 0.299·255 = 76.2, 0.587·255 = 149.7, 0.114·255 = 29.1
    assert events.rgb_to_luma(colours.astype(np.uint8)).tolist() == [255, 0, 76, 150, 29]


def test_rgb_to_luma_refuses_what_is_not_rgb_bytes() -> None:
    with pytest.raises(events.UserError, match=r"expected uint8 \(\.\.\., 3\)"):
        events.rgb_to_luma(np.zeros((2, 4, 5), np.uint8))
    with pytest.raises(events.UserError, match="float64"):
        events.rgb_to_luma(np.zeros((2, 4, 5, 3)))  # type: ignore[arg-type]


def test_limited_range_expands_with_exact_rounding() -> None:
    plane = np.arange(256, dtype=np.uint8).reshape(2, 128)
    out = np.empty_like(plane)
    kernels.expand_limited(plane, out)
    expected = [min(max(math.floor((y - 16) * 255 / 219 + 0.5), 0), 255) for y in range(256)]
    assert out.reshape(-1).tolist() == expected


def test_full_is_the_logarithm_continued_by_its_tangent() -> None:
    table = log_table("full")
    assert table[10:].tolist() == pytest.approx([math.log(y) for y in range(10, 256)], abs=1e-15)
    assert np.allclose(np.diff(table[:11]), 1 / LINEAR_BELOW, rtol=0, atol=1e-15)


def test_other_conventions_by_hand() -> None:
    assert log_table("log1p")[[0, 99]].tolist() == pytest.approx([0.0, math.log(100)])
    limited = log_table("limited")
    assert limited[235] == limited[255] == pytest.approx(math.log(255))
    assert limited[126] == pytest.approx(math.log(110 * 255 / 219))
    assert limited[0] == limited[16] == log_table("full")[0]
    # sRGB byte 188 is linear 0.5029 (IEC 61966-2-1).
    assert math.exp(log_table("srgb")[188]) / 255 == pytest.approx(0.5029, abs=1e-4)


@pytest.mark.parametrize("luma", events.LUMAS)
def test_tables_never_fall(luma: str) -> None:
    assert np.all(np.diff(log_table(luma)) >= 0)
