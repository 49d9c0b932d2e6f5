"""probe.npz: the inputs of each graph for real clips, and all spikes and membranes of PyTorch."""

from __future__ import annotations

import numpy as np

from export.contract import InputContract
from export.forms import Exported
from mdft.data.dataset import ClipSet
from mdft.errors import UserError, require

TEST_SPLITS = ("test_unseen", "test_seen")
#: Default number of samples in a probe.
SAMPLES = 8


def pick_samples(clips: ClipSet, count: int | None = None) -> np.ndarray:
    """Return clip indices, equally many of both test splits and evenly spaced in each.

    Args:
        clips: the data set.
        count: how many; None: 8, or all if there are fewer.

    Raises:
        UserError: the count is below 1 or above the number of test clips.
    """
    available = [len(clips.splits[name]) for name in TEST_SPLITS]
    count = sample_count(count, sum(available), "test clips")
    first = min(available[0], max((count + 1) // 2, count - available[1]))
    picked = [
        clips.splits[name][np.linspace(0, len(clips.splits[name]) - 1, n).round().astype(int)]
        for name, n in zip(TEST_SPLITS, (first, count - first), strict=True)
        if n
    ]
    return np.concatenate(picked)


def sample_count(count: int | None, available: int, what: str) -> int:
    """The number of samples in a probe: ``count``, or by default 8 or all if there are fewer.

    Raises:
        UserError: the count is below 1 or above the number of those available.
    """
    if count is None:
        return min(SAMPLES, available)
    require(1 <= count <= available, "--samples", count, f"1 to {available} {what}")
    return count


def probe_arrays(pathway: str, exported: Exported) -> dict[str, np.ndarray]:
    """Return the probe's arrays of one pathway p, float32 except for the last.

    `p.in.<input>` (B,S,width) and `p.grid.<input>`, the power of two that its values are multiples
    of, for each Input; `p.spikes.lif_i` and `p.membrane.lif_i` (B,S,N, before the reset) for each
    LIF; `p.spikes.out` (B,S,N); and `p.arithmetic`, "float" or "loihi", a string: a simulator with
    this arithmetic must give the same spikes.

    Raises:
        UserError: an input is off its grid or outside the range of its contract.
    """
    arrays = {f"in.{name}": x for name, x in exported.inputs.items()}
    for name, (spikes_BSN, membrane_BSN) in exported.traces.items():
        arrays |= {f"spikes.{name}": spikes_BSN, f"membrane.{name}": membrane_BSN}
    arrays["spikes.out"] = list(exported.traces.values())[-1][0]
    found = {
        f"{pathway}.{k}": v.detach().cpu().numpy().astype(np.float32) for k, v in arrays.items()
    }
    found[f"{pathway}.arithmetic"] = np.array(exported.arithmetic)
    for name, given in exported.given.items():
        _check_channels(pathway, name, found[f"{pathway}.in.{name}"], given)
        found[f"{pathway}.grid.{name}"] = np.array(given.grid, np.float32)
    return found


def _check_channels(pathway: str, name: str, x_BSW: np.ndarray, given: InputContract) -> None:
    for channels in given.channels:
        x_BSC = x_BSW[..., channels.first : channels.first + channels.count]
        multiples = x_BSC / channels.grid
        if (multiples != np.round(multiples)).any():
            raise UserError(
                f"{pathway}: {name} is off its grid of {channels.grid:g}, expected multiples"
            )
        if x_BSC.min() < channels.low or x_BSC.max() > channels.high:
            raise UserError(
                f"{pathway}: {name} ({channels.carries}) runs from {x_BSC.min():g} to "
                f"{x_BSC.max():g}, expected {channels.low:g} to {channels.high:g}"
            )
