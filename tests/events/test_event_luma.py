"""Luma conventions and the log intensity table against their formulas and against Pillow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

import events
from events.kernels import pixels as kernels
from events.response import LINEAR_BELOW, MIN_THRESHOLD, convention, log_table, response_of

pytestmark = pytest.mark.rounding


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
    # v2e's lin_log: linear up to 20, the logarithm above.
    linlog = log_table("linlog")
    assert linlog[[0, 10, 20, 200]].tolist() == pytest.approx(
        [0.0, math.log(20) / 2, math.log(20), math.log(200)]
    )


@pytest.mark.parametrize("luma", events.LUMAS)
def test_tables_are_the_float_formulas_rounded_once(luma: str) -> None:
    # In plain float64, good to a few ulp; the table itself comes from decimal arithmetic.
    y = np.arange(256, dtype=np.float64)
    if luma.startswith("limited"):
        y = np.clip((y - 16) * 255 / 219, 0, 255)
    if luma.endswith("srgb"):
        v = y / 255
        y = 255 * np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    tail = luma.removeprefix("limited").removeprefix("-")
    if tail == "log1p":
        expected = np.log(y + 1)
    elif tail == "linlog":
        expected = np.where(y > 20, np.log(np.maximum(y, 1)), y * np.log(20) / 20)
    else:
        expected = np.where(y < 10, np.log(10) + (y - 10) / 10, np.log(np.maximum(y, 10)))
    assert np.allclose(log_table(luma), expected, rtol=1e-14, atol=1e-14)


def test_a_file_declares_its_range_and_the_user_the_rest() -> None:
    assert [convention(name, limited=True) for name in ("full", "srgb", "linlog", "log1p")] == [
        "limited", "limited-srgb", "limited-linlog", "limited-log1p",
    ]  # fmt: skip
    assert convention("srgb", limited=False) == "srgb"
    with pytest.raises(events.UserError, match="luma is 'limited', expected one of full"):
        convention("limited", limited=True)


def test_the_raw_plane_folded_into_the_table_is_the_expanded_one_but_for_rounding() -> None:
    # Limited bytes on which the expansion 255·(y − 16)/219 is whole: every 73rd.
    raw = np.array([16, 89, 162, 235], dtype=np.uint8)
    whole = np.array([0, 85, 170, 255], dtype=np.uint8)
    for name in ("full", "srgb", "linlog", "log1p"):
        folded = log_table(convention(name, limited=True))[raw]
        assert np.array_equal(folded, log_table(name)[whole])


@pytest.mark.parametrize("luma", events.LUMAS)
def test_a_bucket_is_narrower_than_two_bytes_and_than_a_threshold(luma: str) -> None:
    found = response_of(luma)
    gaps = np.diff(found.log) * found.scale
    assert gaps[gaps > 0].min() > 1
    assert MIN_THRESHOLD * found.scale > 1


@pytest.mark.parametrize("luma", events.LUMAS)
def test_the_inverse_of_the_table_is_that_of_a_search(luma: str) -> None:
    found = response_of(luma)
    position = (found.log - found.log[0]) * found.scale
    for bucket in range(0, len(found.below), 7):
        under, over = np.flatnonzero(position < bucket), np.flatnonzero(position > bucket)
        assert found.below[bucket] == (under[-1] if len(under) else 0)
        assert found.above[bucket] == (over[0] if len(over) and bucket else 255 * (bucket > 0))


@pytest.mark.parametrize("luma", events.LUMAS)
def test_tables_never_fall(luma: str) -> None:
    assert np.all(np.diff(log_table(luma)) >= 0)
