"""E_v on a coarser grid."""

import dataclasses

import numpy as np
import pytest
import torch

from events import pool
from mdft.data.cells import coarser, pool_cells
from mdft.errors import UserError
from mdft.experiments.ablations import changed
from mdft.model.mdft import MDFT
from mdft.training.protocol import check_fit
from tests.mdft.small import random_clips, small_config, small_model

pytestmark = pytest.mark.rounding


@pytest.mark.parametrize(
    ("channels", "dim", "cells"),
    [
        (512, 512, 1),
        (512, 128, 2),
        (512, 32, 4),
        (512, 2, 16),
        (512, 72, None),  # 6 × 6 cells: 16 is no multiple
        (512, 256, None),  # no square
        (128, 512, None),  # finer than what is there
        (300, 300, 1),
        (300, 128, None),
    ],
)
def test_which_widths_join_cells(channels, dim, cells):
    assert coarser(channels, dim) == cells


@pytest.mark.parametrize("grid", [8, 4])
def test_joined_cells_are_what_a_coarser_grid_of_the_events_gives(grid):
    """Against `events.pool` itself, on 64 × 64 pixels, where all cells are of one size."""
    rng = np.random.default_rng(grid)
    events = np.zeros(20_000, dtype=[("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
    events["x"], events["y"] = rng.integers(0, 64, (2, 20_000))
    events["t"], events["p"] = np.sort(rng.integers(0, 2_000_000, 20_000)), rng.random(20_000) < 0.3
    given = {"seconds": 2, "bins_per_second": 4}
    fine, coarse = (
        torch.from_numpy(pool(events, (64, 64, 2), grid=g, **given) / np.float32(16))
        for g in (16, grid)
    )
    joined = pool_cells(fine[None], 2 * grid**2)[0]
    assert joined.shape == coarse.shape and coarse.any()
    # Each of the cells was rounded to a sixteenth, and so was the joined one.
    assert (joined - coarse).abs().max() <= 1 / 16
    assert pool_cells(fine, 512) is fine


def test_a_cell_of_one_event_keeps_its_place():
    x_BTKD = torch.zeros(1, 1, 1, 512)
    x_BTKD[..., 256 + 16 * 5 + 12] = 4.0  # ON, row 5, column 12
    joined = pool_cells(x_BTKD, 128)
    assert joined.flatten().nonzero().tolist() == [[64 + 8 * 2 + 6]] and joined.max() == 1.0


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"model.dim": 8}, False),  # of 2 · 4² channels
        ({"model.dim": 12}, True),
        ({"model.dim": 8, "data.events": "feature"}, False),  # groups of four channels
        ({"model.dim": 12, "system": "avca"}, False),  # looks at no event
    ],
)
def test_a_width_that_is_no_grid_is_refused(change, refused):
    config = changed(small_config(), change)
    if not refused:
        check_fit(config, random_clips())
        return
    with pytest.raises(
        UserError, match=r"model.dim is (8|12), expected 32, the number of event channels"
    ):
        check_fit(config, random_clips())


def test_a_narrow_model_sees_the_joined_cells():
    torch.manual_seed(0)
    model, batch = MDFT(small_model(dim=8)).eval(), random_clips().batch(np.arange(12))
    joined = dataclasses.replace(batch, events_BTKD=pool_cells(batch.events_BTKD, 8))
    with torch.no_grad():
        model.calibrate(batch)
        assert torch.equal(model(batch).o_av_BE, model(joined).o_av_BE)
        x_BSD = model.motion_inputs(batch)["visual"].x_BSD
    assert (
        x_BSD.shape[-1] == 8
        and 0 < (x_BSD - joined.events_BTKD.flatten(1, 2)).abs().max() <= 1 / 32
    )
