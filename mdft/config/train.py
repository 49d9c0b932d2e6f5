"""Configurations: frozen dataclasses, saved as ``config.json`` in every run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from annotated_types import Ge

from mdft.config.baselines import BaselinesConfig, SystemName
from mdft.config.data import DataConfig
from mdft.config.model import LossConfig, ModelConfig
from mdft.config.ranges import Count, Positive, Seed, check_ranges
from mdft.errors import require

FeedName = Literal["auto", "device", "stream"]
CompileName = Literal["no", "default", "reduce-overhead"]


@dataclass(frozen=True)
class ComputeConfig:
    """How a run computes; a resumed run may change it."""

    feed: FeedName = "auto"
    """device: all clips on the device; stream: read ahead from memory or disk; auto: device on a
    GPU with room for them, else stream."""
    autocast: bool = False
    """Train the dense part in bfloat16, on a GPU. Spikes stay exact, and so do validation and
    test."""
    compile: CompileName = "no"
    """torch.compile of RJLU and CRM, in this mode; reduce-overhead: with CUDA graphs."""

    def check(self, device: str, system: SystemName) -> None:
        """Raise a UserError that names the first field that does not go with the run."""
        gpu = device.startswith("cuda") or not self.autocast
        require(gpu, "compute.autocast", f"on with device {device}", "off, or --device cuda")
        ours = system == "mdft" or self.compile == "no"
        require(ours, "compute.compile", self.compile, f"no with --model {system}")


@dataclass(frozen=True)
class TrainConfig:
    """One run of the two-stage protocol."""

    data: DataConfig = field(default_factory=DataConfig)
    """Clips, features, events, splits."""
    system: Annotated[SystemName, tyro.conf.arg(name="model")] = "mdft"
    """What to train: ours, or a baseline (docs/baselines.md)."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The architecture of MDFT."""
    loss: LossConfig = field(default_factory=LossConfig)
    """The three losses."""
    epochs: Count = 50
    """Epochs of each stage."""
    batch_size: Annotated[int, Ge(2)] = 256
    """Clips a step, drawn class-balanced."""
    learning_rate: Positive = 1e-4
    """Of Adam; a baseline has its own."""
    seed: Seed = 0
    """Of weights, sampling and dropout."""
    init: Path | None = None
    """A finished run whose model is trained on: stage 2 alone, with its β, for --epochs epochs."""
    device: str = "auto"
    """auto, cpu or cuda."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Feed, precision and compilation."""
    baseline: BaselinesConfig = field(default_factory=BaselinesConfig)
    """The baselines, of which --model chooses one."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        check_ranges(self)
        self.data.check()
        self.model.check()
        self.loss.check()
        ours = self.init is None or self.system == "mdft"
        require(ours, "init", self.init, "none for a baseline")
