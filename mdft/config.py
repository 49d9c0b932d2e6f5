"""Configurations: frozen dataclasses, saved as ``config.json`` in every run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mdft.baselines.config import BaselinesConfig, SystemName
from mdft.data.rendered_config import RenderedConfig
from mdft.errors import UserError, require
from mdft.extract.config import FeatureConfig
from mdft.feed import FeedName
from mdft.motion_config import MotionConfig

CompileName = Literal["no", "default", "reduce-overhead"]
#: Fields of ModelConfig that count something.
WIDTHS = (
    "dim",
    "audio_features",
    "visual_features",
    "joint",
    "words",
    "heads",
    "transformer_layers",
)


@dataclass(frozen=True)
class ModelConfig:
    """The whole model."""

    dim: int = 512
    """Width D of encoders, event channels and spiking layers; 512, or less on a coarser grid of
    events: 128 joins 2 × 2 of its cells, 32 joins 4 × 4."""
    audio_features: int = 512
    """Width of the audio features; 512 of SeLaVi, 128 of VGGish."""
    visual_features: int = 512
    """Width of the visual features; 512 of SeLaVi, 4096 of C3D."""
    modality: Literal["both", "audio", "visual"] = "both"
    """audio, visual: the ablations of Figure 5; the other modality is zero and has no pathway."""
    rjlu: bool = True
    """False: the ablation of Table 3; S is the mean of a and v, and there is no h."""
    crm: bool = True
    """False: the ablation of Table 3; gated features and h are summed, without attention."""
    joint: int = 64
    """Width E of the joint space."""
    words: int = 300
    """Width W of the word vectors."""
    heads: int = 8
    """Attention heads, of width D / heads."""
    transformer_layers: int = 1
    """Depth of the cross-modal transformer."""
    dropout_encoder: float = 0.2
    """d_enc."""
    dropout_projection: float = 0.2
    """d_proj, also of the reconstruction (d_dec)."""
    dropout_words: float = 0.1
    """d_wproj."""
    motion: MotionConfig = field(default_factory=MotionConfig)
    """The spiking branch."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        self.motion.check()
        for name in WIDTHS:
            value = getattr(self, name)
            require(value >= 1, name, value, "at least 1")
        require(self.dim >= 2, "dim", self.dim, "at least 2")  # the entropy of one feature is 0
        require(self.dim % self.heads == 0, "heads", self.heads, f"a divisor of dim, {self.dim}")
        for name in ("dropout_encoder", "dropout_projection", "dropout_words"):
            value = getattr(self, name)
            require(0 <= value < 1, name, value, "0 <= it < 1")


@dataclass(frozen=True)
class LossConfig:
    """L_all = L_n + L_p + L_r; each term has a switch. Ours: a bound on firing rates."""

    triplet: bool = True
    """L_n, eq. (13)."""
    projection: bool = True
    """L_p, eq. (14)."""
    reconstruction: bool = True
    """L_r, eq. (15)."""
    margin: float = 1.0
    """γ of eq. (13)."""
    rate_limit: float = 0.2
    """Firing rate above which a spiking layer is penalised; 1 switches the penalty off."""
    rate_weight: float = 10.0
    """Of that penalty."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        on = self.triplet or self.projection or self.reconstruction
        require(on, "loss", "all off", "at least one of triplet, projection, reconstruction")
        require(0 < self.margin < math.inf, "margin", self.margin, "more than 0")
        require(0 < self.rate_limit <= 1, "rate_limit", self.rate_limit, "0 < it <= 1")
        require(0 <= self.rate_weight < math.inf, "rate_weight", self.rate_weight, "0 or more")


@dataclass(frozen=True)
class DataConfig:
    """Where the clips come from."""

    source: Literal["rendered", "files", "folder"] = "rendered"
    """The embedded benchmark, feature files in the layout of AVCA and TCaF (docs/data.md), or a
    folder of video files (docs/predict.md)."""
    rendered: RenderedConfig = field(default_factory=RenderedConfig)
    """The embedded benchmark."""
    root: Path | None = None
    """files: folder of one benchmark; it holds class-split/ and features/. folder: of clips."""
    features: str | None = None
    """files: folder under features/; needed where there are several."""
    split: Literal["main_split", "cls_split"] = "main_split"
    """files: folder under class-split/."""
    text_alignment: Literal["name", "legacy"] = "name"
    """files: word vectors joined by name, or shifted as in the widely used loaders."""
    max_seconds: int | None = None
    """files: of a longer clip the middle is kept; default: all of it."""
    lengths: Literal["pool", "cut"] = "pool"
    """files: sound and pictures of unequal length: average the longer one, or cut its end."""
    events: Literal["pixel", "feature"] = "pixel"
    """E_v from pixels (K bins a second), or from threshold crossings of the features (K = 1)."""
    feature_threshold: float = 0.2
    """C of the feature events, in log feature."""
    extract: FeatureConfig = field(default_factory=FeatureConfig)
    """folder: how features and events are taken from the clips."""
    vectors: Path | None = None
    """folder: file of word vectors (word2vec, GloVe, npz); default: made of the letters."""
    splits: Path | None = None
    """folder: csv with columns clip (CLASS/NAME.mp4) and part; default: drawn by split_seed."""
    split_seed: int = 0
    """folder: decides which classes are unseen, and which clips are for tests."""
    cache: Path | None = None
    """Folder of what is drawn or read once; default: $MDFT_CACHE, else ~/.cache/mdft."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        threshold = self.feature_threshold
        require(0 < threshold < math.inf, "feature_threshold", threshold, "a positive number")
        if self.source == "rendered":
            return
        if self.source == "folder":
            self.extract.check()
        if self.root is None:
            raise UserError(
                "--data.root is missing: name the folder of the benchmark, the one that holds "
                "class-split/ and features/ (docs/data.md); of source folder, the one that holds "
                "a subfolder of clips a class"
            )
        enough = self.max_seconds is None or self.max_seconds >= 1
        require(enough, "data.max_seconds", self.max_seconds, "at least 1")

    def absolute(self) -> DataConfig:
        """The same with absolute paths of what is read; the cache stays as it is."""
        paths = {name: getattr(self, name) for name in ("root", "vectors", "splits")}
        found = {name: path and path.resolve() for name, path in paths.items()}
        checkpoint = self.extract.checkpoint
        extract = replace(self.extract, checkpoint=checkpoint and checkpoint.resolve())
        return replace(self, **found, extract=extract)


@dataclass(frozen=True)
class ComputeConfig:
    """How a run computes; a resumed run may change it, but for `reproducible`."""

    feed: FeedName = "auto"
    """device: all clips on the device; stream: read ahead from memory or disk; auto: device on a
    GPU with room for them, else stream."""
    autocast: bool = False
    """Train the dense part in bfloat16, on a GPU. Spikes stay exact, and so do validation and
    test."""
    compile: CompileName = "no"
    """torch.compile of RJLU and CRM, in this mode; reduce-overhead: with CUDA graphs."""
    reproducible: bool = False
    """The same bits on every x86-64 processor with AVX2, on one thread (docs/reproducible.md)."""

    def check(self, device: str, system: SystemName) -> None:
        """Raise a UserError that names the first field that does not go with the run."""
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
    """Clips, features, events, splits."""
    system: Annotated[SystemName, tyro.conf.arg(name="model")] = "mdft"
    """What to train: ours, or a baseline (docs/baselines.md)."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The architecture of MDFT."""
    loss: LossConfig = field(default_factory=LossConfig)
    """The three losses."""
    epochs: int = 50
    """Epochs of each stage."""
    batch_size: int = 256
    """Clips a step, drawn class-balanced."""
    learning_rate: float = 1e-4
    """Of Adam; a baseline has its own."""
    seed: int = 0
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
        self.data.check()
        self.baseline.check()
        self.model.check()
        self.loss.check()
        folder = self.compute.reproducible and self.data.source == "folder"
        require(not folder, "compute.reproducible", "on with clips of one's own", "rendered, files")
        rate = self.learning_rate
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2")
        require(0 < rate < math.inf, "learning_rate", rate, "a positive number")
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 <= it < 2**32")
        ours = self.init is None or self.system == "mdft"
        require(ours, "init", self.init, "none for a baseline")
