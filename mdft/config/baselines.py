"""Hyperparameters of the baselines, as their papers and code publish them (docs/baselines.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from mdft.errors import require

SystemName = Literal[
    "mdft",
    "sje",
    "devise",
    "apn",
    "fvaegan",
    "cjme",
    "avgzslnet",
    "avca",
    "tcaf",
    "avmst",
]
Branches = Literal["audio", "visual", "both"]


@dataclass(frozen=True)
class BaselineConfig:
    """What every baseline has."""

    learning_rate: float = 1e-3
    """Of Adam."""
    weight_decay: float = 0.0
    """Of Adam: L2, added to the gradient."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if name.startswith("dropout"):
                require(0 <= value < 1, name, value, "0 <= it < 1")
            elif isinstance(value, int) and not isinstance(value, bool):
                require(value >= 1, name, value, "at least 1")
            elif isinstance(value, float):
                require(0 <= value < math.inf, name, value, "0 or more")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "more than 0")


@dataclass(frozen=True)
class CompatibilityConfig(BaselineConfig):
    """SJE and DeViSE."""

    margin: float = 0.1
    """Of the hinge."""
    dropout: float = 0.2
    """Of features and word vectors."""
    normalise: bool = False
    """Features of unit length; published with C3D and VGGish features only."""
    score: Literal["euclidean", "compatibility"] = "euclidean"
    """Distance to a word vector as in AVCA's code, or the compatibility that is trained."""


@dataclass(frozen=True)
class APNConfig(BaselineConfig):
    """Attribute Prototype Network on given features."""

    normalise: bool = False
    """Features of unit length; published with C3D and VGGish features only."""


@dataclass(frozen=True)
class FVAEGANConfig(BaselineConfig):
    """f-VAEGAN-D2: a generator of features, then a classifier."""

    beta1: float = 0.5
    """Of Adam, as usual for adversarial training."""
    latent: int = 300
    """Width of the noise."""
    hidden_encoder: int = 300
    """Width of the encoder's hidden layer."""
    hidden_generator: int = 512
    """Width of the generator's hidden layer."""
    hidden_critic: int = 512
    """Width of the critic's hidden layer."""
    critic_steps: int = 5
    """The generator learns in one step of so many."""
    penalty: float = 10.0
    """Weight of the gradient penalty."""
    gan_weight: float = 10.0
    """Weight of the critic's opinion in the generator's loss."""
    synthetic: int = 1000
    """Clips to generate for each unseen class."""
    classifier_epochs: int = 30
    """Of the second phase."""
    classifier_batch: int = 1000
    """Clips a step of the second phase."""
    classifier_rate: float = 1e-3
    """Learning rate of the second phase."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        super().check()
        require(self.beta1 < 1, "beta1", self.beta1, "0 <= it < 1")


@dataclass(frozen=True)
class CJMEConfig(BaselineConfig):
    """Coordinated Joint Multimodal Embeddings."""

    joint: int = 64
    """Width E of the joint space."""
    hidden: int = 1024
    """Width of the hidden layer of both encoders."""
    dropout: float = 0.2
    """Of every hidden layer."""
    margin: float = 1.0
    """Of the triplets."""
    indifference: float = 0.1
    """Entropies closer than this, in nats, prefer no modality."""
    attention: Literal["hard", "soft"] = "hard"
    """Score with the preferred modality alone, or with both in their shares."""


@dataclass(frozen=True)
class AVGZSLNetConfig(BaselineConfig):
    """AVGZSLNet."""

    joint: int = 64
    """Width E of the joint space."""
    hidden: int = 1024
    """Width of the hidden layer of both encoders."""
    hidden_decoder: int = 64
    """Width of the decoder's hidden layer."""
    dropout: float = 0.8
    """Of the encoders' hidden layers."""
    dropout_decoder: float = 0.5
    """Of the decoder's hidden layer."""
    margin: float = 1.0
    """Of the triplets."""
    score: Branches = "both"
    """Distances of which modality; both: their sum."""


@dataclass(frozen=True)
class AVCAConfig(BaselineConfig):
    """AVCA."""

    weight_decay: float = 1e-5
    """Of Adam: L2, added to the gradient."""
    dim: int = 300
    """Width of the tokens."""
    joint: int = 64
    """Width E of the joint space."""
    hidden: int = 512
    """Width of the hidden layers of encoders and projections."""
    layers: int = 1
    """Of the transformer."""
    heads: int = 3
    """Of attention."""
    head: int = 100
    """Width of a head."""
    mlp: int = 64
    """Width of the transformer's hidden layer."""
    dropout_encoder: float = 0.2
    """Of encoders and transformer."""
    dropout_projection: float = 0.3
    """Of the projections of both modalities."""
    dropout_words: float = 0.5
    """Of the projection of words and of the decoders."""
    margin: float = 1.0
    """Of the triplets."""
    score: Branches = "visual"
    """Distances of which modality; visual, as in the published code."""


@dataclass(frozen=True)
class AVMSTConfig(AVCAConfig):
    """AVMST: AVCA whose features are gated by a spiking network."""

    steps: int = 10
    """Steps of the spiking network; each is given the whole input."""
    theta: float = 1.0
    """Threshold of the integrate-and-fire neurons."""


@dataclass(frozen=True)
class TCaFConfig(BaselineConfig):
    """TCaF."""

    learning_rate: float = 7e-5
    """Of Adam."""
    weight_decay: float = 1e-5
    """Of Adam: L2, added to the gradient."""
    dim: int = 300
    """Width of the tokens."""
    joint: int = 64
    """Width E of the joint space."""
    hidden: int = 512
    """Width of the hidden layers of encoders, projection and decoder."""
    layers: int = 6
    """Of the transformer."""
    heads: int = 8
    """Of attention."""
    head: int = 64
    """Width of a head."""
    mlp: int = 128
    """Width of the transformer's hidden layer."""
    place: int = 64
    """Width of the embeddings of modality and time; even."""
    time_scale: float = 10.0
    """Each random frequency is the sum of two normal numbers of this deviation, cycles a second."""
    dropout_encoder: float = 0.3
    """Of the encoders."""
    dropout_place: float = 0.2
    """Of the tokens."""
    dropout_transformer: float = 0.3
    """Of the transformer."""
    dropout_projection: float = 0.1
    """Of projection and decoder."""
    dropout_words: float = 0.1
    """Of the projection of words and of their decoder."""
    normalise: Literal["none", "published"] = "none"
    """published: sound over 255, and each visual feature of unit length over the clip's time."""

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        super().check()
        require(self.place % 2 == 0, "place", self.place, "an even number")


@dataclass(frozen=True)
class BaselinesConfig:
    """A field for each baseline; the one that ``--model`` names is used."""

    sje: CompatibilityConfig = field(default_factory=CompatibilityConfig)
    devise: CompatibilityConfig = field(default_factory=CompatibilityConfig)
    apn: APNConfig = field(default_factory=APNConfig)
    fvaegan: FVAEGANConfig = field(default_factory=FVAEGANConfig)
    cjme: CJMEConfig = field(default_factory=CJMEConfig)
    avgzslnet: AVGZSLNetConfig = field(default_factory=AVGZSLNetConfig)
    avca: AVCAConfig = field(default_factory=AVCAConfig)
    tcaf: TCaFConfig = field(default_factory=TCaFConfig)
    avmst: AVMSTConfig = field(default_factory=AVMSTConfig)

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        for name in (f.name for f in fields(self)):
            getattr(self, name).check()
