"""Configurations: frozen dataclasses, saved as ``config.json`` in every run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from annotated_types import Ge

from mdft.config.baselines import PENALISED, STRENGTHS, BaselinesConfig, SystemName
from mdft.config.data import DataConfig
from mdft.config.model import LossConfig, ModelConfig
from mdft.config.ranges import Count, Positive, Seed, check_ranges
from mdft.errors import require

FeedName = Literal["auto", "device", "stream"]
CompileName = Literal["no", "default", "reduce-overhead"]


@dataclass(frozen=True)
class ComputeConfig:
    """How a run computes; a resumed run may change `feed` and `compile`."""

    feed: FeedName = "auto"
    """device: keep all clips in the device's memory; stream: prefetch batches from memory or
    disk; auto: device on a GPU with enough memory, else stream."""
    autocast: bool = False
    """Train the dense layers in bfloat16 on a GPU; the spiking layers, validation and test stay
    in float32."""
    compile: CompileName = "no"
    """Mode of torch.compile for RJLU and CRM; reduce-overhead uses CUDA graphs."""
    reproducible: bool = False
    """Compute the same bits on every x86-64 processor with AVX2, on one thread
    (docs/reproducible.md)."""

    def check(self, device: str, system: SystemName) -> None:
        """Raise a UserError that names the first field that the run does not support."""
        gpu = device.startswith("cuda") or not self.autocast
        require(gpu, "compute.autocast", f"on with device {device}", "off, or --device cuda")
        ours = system == "mdft" or self.compile == "no"
        require(ours, "compute.compile", self.compile, f"no with --model {system}")
        if self.reproducible:
            expected = "--device cpu, --model mdft, --compute.compile no"
            found = f"on with {device}, {system}, {self.compile}"
            alone = device == "cpu" and system == "mdft" and self.compile == "no"
            require(alone, "compute.reproducible", found, expected)


@dataclass(frozen=True)
class TrainConfig:
    """One run of the two-stage protocol."""

    data: DataConfig = field(default_factory=DataConfig)
    """Clips, features, events and splits."""
    system: Annotated[SystemName, tyro.conf.arg(name="model")] = "mdft"
    """The model to train: mdft, or a baseline (docs/baselines.md)."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The architecture of MDFT."""
    loss: LossConfig = field(default_factory=LossConfig)
    """The three losses."""
    epochs: Count = 50
    """Epochs of each stage; with --patience, the largest number."""
    patience: Count | None = None
    """End stage 1 after so many epochs without a better validation HM; default: never."""
    batch_size: Annotated[int, Ge(2)] = 256
    """Clips per training step; batches are class-balanced."""
    learning_rate: Positive = 1e-4
    """Adam's learning rate; baselines override it."""
    seed: Seed = 0
    """Seed of weight initialisation, sampling and dropout."""
    init: Path | None = None
    """Fine-tune the model of this finished run: stage 2 only, for --epochs epochs, with the β of
    that run."""
    device: str = "auto"
    """auto, cpu or cuda; auto: cuda if there is a GPU."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Data feed, precision and compilation."""
    baseline: BaselinesConfig = field(default_factory=BaselinesConfig)
    """Hyperparameters of the baselines, of which --model chooses one."""

    @property
    def penalised(self) -> bool:
        """Whether each epoch of the system is a strength of its penalty."""
        return self.system in PENALISED

    @property
    def most_epochs(self) -> int:
        """The largest number of epochs of a stage: ``epochs``, or the number of strengths."""
        return len(STRENGTHS) if self.penalised else self.epochs

    @property
    def clips_per_step(self) -> int:
        """Clips per training step: ``batch_size``, or the baseline's own."""
        own = None if self.system == "mdft" else getattr(self.baseline, self.system).batch_size
        return own or self.batch_size

    def steps_per_epoch(self, clips: int) -> int:
        """Training steps per epoch on a split of so many clips: ``ceil(clips / batch_size)``.

        A baseline's own batch size does not change them, so that all systems have as many.
        """
        return math.ceil(clips / self.batch_size)

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        check_ranges(self)
        self.data.check()
        self.model.check()
        self.loss.check()
        folder = self.compute.reproducible and self.data.source == "folder"
        require(not folder, "compute.reproducible", "on with clips of one's own", "rendered, files")
        wide = self.data.inputs == "features+events" and self.system == "mdft"
        require(
            not wide, "inputs", self.data.inputs, "features with --model mdft: it has E_v anyway"
        )
        whole = self.system != "mdft" or not self.data.average
        require(whole, "average", True, "False with --model mdft, which needs the seconds")
        ridge = self.baseline.ridge
        plain = ridge == replace(ridge, use="all", events_weight=1.0)
        events = plain or self.data.inputs == "features+events"
        require(events, "inputs", self.data.inputs, "features+events: --baseline.ridge uses events")
        ours = self.init is None or self.system == "mdft"
        require(ours, "init", self.init, "none for a baseline")
