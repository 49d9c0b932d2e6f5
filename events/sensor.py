"""The sensor's settings, and the records it writes."""

from __future__ import annotations

from dataclasses import dataclass

from events.noise import IDEAL, Noise
from events.response import check_threshold, log_table
from mdft.errors import whole


@dataclass(frozen=True)
class Sensor:
    """An event sensor, ideal unless it has `noise`.

    Attributes:
        threshold: contrast C_on in log intensity (nats) of an ON event.
        threshold_off: contrast C_off of an OFF event; None = the same.
        refractory_us: a pixel's event is swallowed if it comes less than this after the
            pixel's last one; its memory moves all the same. 0 = none.
        luma: what intensity a byte stands for: full, linlog, srgb or log1p, each with limited
            before it for the raw Y of a limited-range video (`events.response`).
        noise: what a real sensor adds.
    """

    threshold: float = 0.2
    threshold_off: float | None = None
    refractory_us: int = 0
    luma: str = "full"
    noise: Noise = IDEAL

    def __post_init__(self) -> None:
        """Refuses values no sensor can have."""
        check_threshold(self.threshold)
        if self.threshold_off is not None:
            check_threshold(self.threshold_off, "threshold_off")
        log_table(self.luma)
        whole("refractory_us", self.refractory_us, least=0)
        self.noise.check()

    @property
    def on(self) -> float:
        """C_on, nats."""
        return float(self.threshold)

    @property
    def off(self) -> float:
        """C_off, nats."""
        return float(self.threshold if self.threshold_off is None else self.threshold_off)
