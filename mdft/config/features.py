"""Configuration of feature extraction; importing it loads no network and no decoder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval, MultipleOf

from mdft.config.ranges import BinsPerSecond, FrameSize, Positive, Seed, check_ranges
from mdft.config.rendered import RenderedConfig
from mdft.errors import UserError, require

FROZEN, SELAVI, TORCHVISION = "frozen", "selavi", "torchvision:"
LIGHT, CLIP_CLAP = "light", "clip-clap"
#: Backbones that label clips without training, by class names alone.
ZERO_SHOT = (LIGHT, CLIP_CLAP)
_CLIP_CLAP_FIELDS = ("clip", "clap", "download")


@dataclass(frozen=True)
class FeatureConfig:
    """How features and events are extracted from video files."""

    backbone: str = FROZEN
    """frozen: the random, seeded extractor of the embedded benchmark, no download needed; selavi:
    SeLaVi's networks with their published checkpoint; torchvision:NAME: a video network of
    torchvision; light: EfficientNet-Lite0, YAMNet and MiniLM; clip-clap: CLIP and CLAP of Hugging
    Face transformers."""
    checkpoint: Path | None = None
    """File of the backbone's weights: required for selavi; torchvision networks have random
    weights without it; light: YAMNet's TFLite file (default: yamnet.tflite in the cache folder)."""
    clip: str = "openai/clip-vit-base-patch32"
    """clip-clap: name of a CLIP model on the Hugging Face hub, or a folder that holds one."""
    clap: str = "laion/clap-htsat-unfused"
    """clip-clap: name of a CLAP model on the Hugging Face hub, or a folder that holds one."""
    download: bool = False
    """clip-clap: download models that are not in the hub's cache on this machine."""
    seed: Seed = 0
    """Seed of the weights of frozen and of a torchvision network without a checkpoint."""
    size: FrameSize = 64
    """Shorter side, in pixels, of the frames used for events, and of the frames given to the
    backbone frozen."""
    sample_rate: Annotated[int, Interval(ge=4000, le=48000), MultipleOf(100)] = 8000
    """frozen and torchvision: audio samples per second; a multiple of 100."""
    bins_per_second: BinsPerSecond = 8
    """Event bins per second (K)."""
    event_threshold: Positive = 0.2
    """Contrast threshold C: the change of log intensity that makes an event."""
    max_seconds: Annotated[int, Interval(ge=1, le=3600)] = 60
    """Use only this many seconds from the beginning of a clip."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range, or a missing file."""
        check_ranges(self)
        known = (FROZEN, SELAVI, *ZERO_SHOT)
        named = self.backbone in known or self.backbone.startswith(TORCHVISION)
        require(named, "--backbone", self.backbone, f"{', '.join(known)} or torchvision:NAME")
        if self.backbone == SELAVI and self.checkpoint is None:
            raise UserError(
                "--checkpoint is missing: selavi needs the authors' selavi_vgg_sound.pth; "
                "see https://github.com/facebookresearch/selavi for its address"
            )
        if self.backbone == FROZEN and self.checkpoint is not None:
            raise UserError(f"--checkpoint {self.checkpoint}: frozen takes no weights")
        if self.backbone == CLIP_CLAP and self.checkpoint is not None:
            raise UserError(
                f"--checkpoint {self.checkpoint}: clip-clap takes its models by --clip and --clap"
            )
        if self.checkpoint is not None and not self.checkpoint.is_file():
            raise UserError(f"--checkpoint {self.checkpoint}: no such file")

    def described(self) -> dict[str, Any]:
        """The settings that decide a clip's features, for JSON; the checkpoint by its SHA-256."""
        path = self.weights
        digest = digest_of(path) if path is not None and path.is_file() else None
        found = {**asdict(self), "checkpoint": digest}
        others = ("download",) if self.backbone == CLIP_CLAP else _CLIP_CLAP_FIELDS
        return {name: value for name, value in found.items() if name not in others}

    @property
    def weights(self) -> Path | None:
        """The file of the backbone's weights: the checkpoint, or the place where light looks."""
        if self.checkpoint is None and self.backbone == LIGHT:
            return yamnet_place()
        return self.checkpoint


def yamnet_place() -> Path:
    """Where light looks for YAMNet's TFLite file: ``yamnet.tflite`` in the cache folder."""
    cache = os.environ.get("MDFT_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mdft"
    return (Path(cache) if cache else home) / "yamnet.tflite"


def of_rendered(config: RenderedConfig) -> FeatureConfig:
    """The settings that extract from an exported clip what the embedded benchmark has for it."""
    return FeatureConfig(
        seed=config.seed,
        size=config.size,
        sample_rate=config.sample_rate,
        bins_per_second=config.bins_per_second,
        event_threshold=config.event_threshold,
    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits; computed once for a file that is not changed."""
    status = path.stat()
    return _digest_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _digest_of(path: Path, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
