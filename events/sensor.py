"""The settings of the sensor."""

from __future__ import annotations

from dataclasses import dataclass

from events.noise import IDEAL, Noise
from events.response import check_threshold, log_table
from mdft.errors import whole


@dataclass(frozen=True)
class Sensor:
    """The settings of an event sensor; without `noise` it is ideal.

    Attributes:
        threshold: contrast C_on in log intensity (nats) of an ON event.
        threshold_off: contrast C_off of an OFF event; None = the same.
        refractory_us: dead time, µs: an event that follows the pixel's last one by less is dropped;
            the memory moves nevertheless. 0 = none.
        luma: intensity of a byte: full, linlog, srgb or log1p, each with the prefix limited
            for the raw Y of a limited-range video (`events.response`).
        noise: noise of a real sensor.
    """

    threshold: float = 0.2
    threshold_off: float | None = None
    refractory_us: int = 0
    luma: str = "full"
    noise: Noise = IDEAL

    def __post_init__(self) -> None:
        """Check the ranges of the values."""
        check_threshold(self.threshold)
        if self.threshold_off is not None:
            check_threshold(self.threshold_off, "threshold_off")
        log_table(self.luma)
        whole("refractory_us", self.refractory_us, least=0)
        self.noise.check()

    @property
    def on(self) -> float:
        """The contrast C_on, nats."""
        return float(self.threshold)

    @property
    def off(self) -> float:
        """The contrast C_off, nats."""
        return float(self.threshold if self.threshold_off is None else self.threshold_off)
