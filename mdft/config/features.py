"""Configuration of feature extraction; importing it loads no network and no decoder."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mdft.config.rendered import RenderedConfig
from mdft.errors import UserError, require

FROZEN, SELAVI, TORCHVISION = "frozen", "selavi", "torchvision:"


@dataclass(frozen=True)
class FeatureConfig:
    """How features and events are extracted from video files."""

    backbone: str = FROZEN
    """frozen: the random, seeded extractor of the embedded benchmark, no download needed; selavi:
    SeLaVi's networks with their published checkpoint; torchvision:NAME: a video network of
    torchvision."""
    checkpoint: Path | None = None
    """File of the backbone's weights: required for selavi; torchvision networks have random
    weights without it."""
    seed: int = 0
    """Seed of the weights of frozen and of a torchvision network without a checkpoint."""
    size: int = 64
    """Shorter side, in pixels, of the frames used for events, and of the frames given to the
    backbone frozen."""
    sample_rate: int = 8000
    """frozen and torchvision: audio samples per second; a multiple of 100."""
    bins_per_second: int = 8
    """Event bins per second (K)."""
    event_threshold: float = 0.2
    """Contrast threshold C: the change of log intensity that makes an event."""
    max_seconds: int = 60
    """Use only this many seconds from the beginning of a clip."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range, or a missing file."""
        named = self.backbone in (FROZEN, SELAVI) or self.backbone.startswith(TORCHVISION)
        require(named, "--backbone", self.backbone, "frozen, selavi or torchvision:NAME")
        if self.backbone == SELAVI and self.checkpoint is None:
            raise UserError(
                "--checkpoint is missing: selavi needs the authors' selavi_vgg_sound.pth; "
                "see https://github.com/facebookresearch/selavi for its address"
            )
        if self.backbone == FROZEN and self.checkpoint is not None:
            raise UserError(f"--checkpoint {self.checkpoint}: frozen takes no weights")
        if self.checkpoint is not None and not self.checkpoint.is_file():
            raise UserError(f"--checkpoint {self.checkpoint}: no such file")
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 <= it < 2**32")
        require(16 <= self.size <= 512, "size", self.size, "16 to 512")
        rate = self.sample_rate
        require(rate % 100 == 0 and 4000 <= rate <= 48000, "sample_rate", rate, "4000 to 48000")
        require(
            1 <= self.bins_per_second <= 1000, "bins_per_second", self.bins_per_second, "1…1000"
        )
        threshold = self.event_threshold
        require(0 < threshold < math.inf, "event_threshold", threshold, "a positive number")
        require(1 <= self.max_seconds <= 3600, "max_seconds", self.max_seconds, "1 to 3600")

    def described(self) -> dict[str, Any]:
        """The settings that decide a clip's features, for JSON; the checkpoint by its SHA-256."""
        digest = None if self.checkpoint is None else _digest(self.checkpoint)
        return {**asdict(self), "checkpoint": digest}


def of_rendered(config: RenderedConfig) -> FeatureConfig:
    """The settings that extract from an exported clip what the embedded benchmark has for it."""
    return FeatureConfig(
        seed=config.seed,
        size=config.size,
        sample_rate=config.sample_rate,
        bins_per_second=config.bins_per_second,
        event_threshold=config.event_threshold,
    )


def _digest(path: Path) -> str:
    status = path.stat()
    return _digest_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _digest_of(path: Path, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
