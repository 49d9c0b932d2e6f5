"""The events of an ideal sensor on a torch device: the same records as `events.generator`.

The float64 operations are those of `events.crossings`, in their order, each an operator of eager
torch that rounds once: nothing may contract a product and a sum, so this is never compiled. A
Python number over a tensor is a reciprocal and a product in torch, which rounds twice; here both
operands of a division are tensors on the device. torch is imported when a device is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from events.cells import cell_areas, cell_map
from events.kernels.counting import Window
from events.kernels.pixels import TIE
from events.records import EVENTS
from events.response import log_table
from events.sensor import Sensor
from events.state import check_chunk, check_frames, first_state
from mdft.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def events_on(
    device: str, frames: NDArray[np.uint8], times_us: NDArray[np.int64], sensor: Sensor
) -> NDArray[np.void]:
    """Return the records of `events.frames_to_events`, computed on a torch device.

    Args:
        device: a device of torch with float64, such as ``cuda`` or ``cpu``.
        frames: (F,H,W) uint8 luma.
        times_us: (F,) int64 µs.
        sensor: without noise and without refractory period.

    Raises:
        UserError: the frames are wrong, the sensor is not supported, or torch has no such device.
    """
    torch, intervals = _intervals(device, frames, times_us, sensor)
    parts = list(intervals)
    out = np.empty(sum(len(pixel) for _, pixel, _ in parts), dtype=EVENTS)
    if parts:
        t, pixel, up = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
        width = np.shape(frames)[2]
        out["x"], out["y"] = pixel % width, pixel // width
        out["t"], out["p"] = t, up
    return out


def bins_on(
    device: str,
    frames: NDArray[np.uint8],
    times_us: NDArray[np.int64],
    sensor: Sensor,
    window: Window,
    grid: int,
) -> Tensor:
    """Return E_v of `events.frames_to_bins`, a tensor on the device that it was computed on.

    Args:
        device: as in `events_on`, and so are the frames, times and sensor.
        frames: (F,H,W) uint8 luma.
        times_us: (F,) int64 µs.
        sensor: without noise and without refractory period.
        window: the bins.
        grid: the number of cells along each side.

    Returns:
        (T, K, 2·grid·grid) uint8.

    Raises:
        UserError: as `events_on`.
    """
    torch, intervals = _intervals(device, frames, times_us, sensor)
    height, width = np.shape(frames)[1:]
    cell_P = torch.tensor(cell_map(width, height, grid), device=device).long()
    area_C = torch.tensor(np.maximum(cell_areas(width, height, grid), 1), device=device)
    cells = grid * grid
    count = torch.zeros(window.bins * 2 * cells, dtype=torch.int64, device=device)
    for t, pixel, up in intervals:
        inside = (t >= window.start) & (t < window.end)
        here = (t[inside] - window.start) * window.per_second // 1_000_000
        place = (2 * here + up[inside]) * cells + cell_P[pixel[inside]]
        count += torch.bincount(place, minlength=len(count))
    count_XC = count.view(-1, cells)
    value_XC = ((32 * count_XC + area_C) // (2 * area_C)).clamp(max=255).to(torch.uint8)
    return value_XC.view(-1, window.per_second, 2 * cells)


Interval = tuple["Tensor", "Tensor", "Tensor"]


def _intervals(
    device: str, frames: NDArray[np.uint8], times_us: NDArray[np.int64], sensor: Sensor
) -> tuple[Any, Iterator[Interval]]:
    """Return torch, and the times, pixels and polarities of each interval's events, sorted."""
    for name, given in (("refractory_us", sensor.refractory_us), ("noise", sensor.noise.some)):
        if given:
            raise UserError(
                f"{name}: found one with device={device!r}, expected none; leave out device"
            )
    frames, times = check_frames(frames, times_us)
    check_chunk(frames[1:], times, first_state(frames[0], int(times[0]), sensor), sensor)
    torch = import_module("torch")
    try:
        log = torch.tensor(log_table(sensor.luma), device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"device: found {device!r}, expected one that torch has; {reason}"
        ) from error
    bytes_FP = torch.tensor(frames.reshape(len(frames), -1), device=device).int()
    return torch, _computed(torch, log[bytes_FP], times.tolist(), sensor)


def _computed(torch: Any, x_FP: Tensor, times: list[int], sensor: Sensor) -> Iterator[Interval]:
    """Compute the intervals one by one, from the logarithms of the frames."""

    def number(value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=x_FP.device)

    on, off, excess = number(sensor.on), number(sensor.off), number(sensor.on - sensor.off)
    per_on, per_off = number(1.0 / sensor.on), number(1.0 / sensor.off)
    # The memory counts from L of the first frame: signals are differences to it.
    x_FP = x_FP - x_FP[0]
    net = torch.zeros(x_FP.shape[1], dtype=torch.int64, device=x_FP.device)
    offs = net.clone()
    for i in range(1, len(times)):
        interval, x0, x1 = times[i] - times[i - 1], x_FP[i - 1], x_FP[i]
        r = net * on + offs * excess
        contrast = x1 - r
        up = contrast > 0
        n = (contrast.abs() * torch.where(up, per_on, per_off) + TIE).long()
        fired = n.nonzero().squeeze(1)
        many = n[fired]
        slope = torch.div(number(interval).expand(len(fired)), x1[fired] - x0[fired])
        a = (r[fired] - x0[fired]) * slope + 0.5
        b = torch.where(up[fired], on, -off) * slope
        which = torch.arange(len(fired), device=n.device).repeat_interleave(many)
        step = torch.arange(len(which), device=n.device) - (many.cumsum(0) - many)[which] + 1
        exact = a[which] + step * b[which]
        delay = torch.where(exact < interval, exact, number(interval)).long()
        order = delay.argsort(stable=True)
        pixel = fired[which][order]
        yield times[i - 1] + delay[order], pixel, up[pixel]
        net = net + torch.where(up, n, -n)
        offs = offs + torch.where(up, 0, n)
