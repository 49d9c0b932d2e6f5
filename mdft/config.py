"""Configurations: frozen dataclasses, saved as ``config.json`` in every run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mdft.data.rendered_config import RenderedConfig
from mdft.threshold import ThresholdMode


@dataclass(frozen=True)
class MotionConfig:
    """The spiking motion branch (section 3.2 of the paper)."""

    enabled: bool = True
    """False: the ablation without motion (MIM); features are fused ungated."""
    layers: int = 3
    """Blocks of Linear + LIF in each pathway."""
    beta: float = 0.5
    """Leak a step, 1 − dt/τ."""
    theta_0: float = 1.0
    """Resting threshold θ0."""
    threshold: ThresholdMode = "relative"
    """How the threshold follows context and motion, eq. (7)."""
    theta_min: float = 0.5
    """Lower bound of the dynamic threshold."""
    theta_max: float = 2.0
    """Upper bound of the dynamic threshold."""
    alpha: float = 2.0
    """Sharpness of the arctangent surrogate gradient."""
    rate: float = 0.06
    """Spikes per neuron and step that the initialisation aims at."""


@dataclass(frozen=True)
class ModelConfig:
    """The whole model."""

    dim: int = 512
    """Width D of features, event channels and spiking layers."""
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


@dataclass(frozen=True)
class LossConfig:
    """L_all = L_n + L_p + L_r; each term has a switch."""

    triplet: bool = True
    """L_n, eq. (13)."""
    projection: bool = True
    """L_p, eq. (14)."""
    reconstruction: bool = True
    """L_r, eq. (15)."""
    margin: float = 1.0
    """γ of eq. (13)."""


@dataclass(frozen=True)
class DataConfig:
    """Where the clips come from."""

    rendered: RenderedConfig = field(default_factory=RenderedConfig)
    """The embedded benchmark."""
    events: Literal["pixel", "feature"] = "pixel"
    """E_v from pixels (K bins a second), or from threshold crossings of the features (K = 1)."""
    feature_threshold: float = 0.2
    """C of the feature events, in log feature."""
    cache: Path | None = None
    """Folder of the rendered benchmark; default: $MDFT_CACHE, else ~/.cache/mdft."""


@dataclass(frozen=True)
class TrainConfig:
    """One run of the two-stage protocol."""

    data: DataConfig = field(default_factory=DataConfig)
    """Clips, features, events, splits."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The architecture."""
    loss: LossConfig = field(default_factory=LossConfig)
    """The three losses."""
    epochs: int = 50
    """Epochs of each stage."""
    batch_size: int = 256
    """Clips a step, drawn class-balanced."""
    learning_rate: float = 1e-4
    """Of Adam."""
    seed: int = 0
    """Of weights, sampling and dropout."""
    device: str = "auto"
    """auto, cpu or cuda."""
