"""Hyperparameters of the baselines, as their papers and code publish them (docs/baselines.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import MultipleOf

from mdft.config.ranges import Count, NotNegative, Positive, Share

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

    learning_rate: Positive = 1e-3
    """Of Adam."""
    weight_decay: NotNegative = 0.0
    """Of Adam: L2, added to the gradient."""


@dataclass(frozen=True)
class CompatibilityConfig(BaselineConfig):
    """SJE and DeViSE."""

    margin: NotNegative = 0.1
    """Of the hinge."""
    dropout: Share = 0.2
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

    beta1: Share = 0.5
    """Of Adam, as usual for adversarial training."""
    latent: Count = 300
    """Width of the noise."""
    hidden_encoder: Count = 300
    """Width of the encoder's hidden layer."""
    hidden_generator: Count = 512
    """Width of the generator's hidden layer."""
    hidden_critic: Count = 512
    """Width of the critic's hidden layer."""
    critic_steps: Count = 5
    """The generator learns in one step of so many."""
    penalty: NotNegative = 10.0
    """Weight of the gradient penalty."""
    gan_weight: NotNegative = 10.0
    """Weight of the critic's opinion in the generator's loss."""
    synthetic: Count = 1000
    """Clips to generate for each unseen class."""
    classifier_epochs: Count = 30
    """Of the second phase."""
    classifier_batch: Count = 1000
    """Clips a step of the second phase."""
    classifier_rate: NotNegative = 1e-3
    """Learning rate of the second phase."""


@dataclass(frozen=True)
class CJMEConfig(BaselineConfig):
    """Coordinated Joint Multimodal Embeddings."""

    joint: Count = 64
    """Width E of the joint space."""
    hidden: Count = 1024
    """Width of the hidden layer of both encoders."""
    dropout: Share = 0.2
    """Of every hidden layer."""
    margin: NotNegative = 1.0
    """Of the triplets."""
    indifference: NotNegative = 0.1
    """Entropies closer than this, in nats, prefer no modality."""
    attention: Literal["hard", "soft"] = "hard"
    """Score with the preferred modality alone, or with both in their shares."""


@dataclass(frozen=True)
class AVGZSLNetConfig(BaselineConfig):
    """AVGZSLNet."""

    joint: Count = 64
    """Width E of the joint space."""
    hidden: Count = 1024
    """Width of the hidden layer of both encoders."""
    hidden_decoder: Count = 64
    """Width of the decoder's hidden layer."""
    dropout: Share = 0.8
    """Of the encoders' hidden layers."""
    dropout_decoder: Share = 0.5
    """Of the decoder's hidden layer."""
    margin: NotNegative = 1.0
    """Of the triplets."""
    score: Branches = "both"
    """Distances of which modality; both: their sum."""


@dataclass(frozen=True)
class AVCAConfig(BaselineConfig):
    """AVCA."""

    weight_decay: NotNegative = 1e-5
    """Of Adam: L2, added to the gradient."""
    dim: Count = 300
    """Width of the tokens."""
    joint: Count = 64
    """Width E of the joint space."""
    hidden: Count = 512
    """Width of the hidden layers of encoders and projections."""
    layers: Count = 1
    """Of the transformer."""
    heads: Count = 3
    """Of attention."""
    head: Count = 100
    """Width of a head."""
    mlp: Count = 64
    """Width of the transformer's hidden layer."""
    dropout_encoder: Share = 0.2
    """Of encoders and transformer."""
    dropout_projection: Share = 0.3
    """Of the projections of both modalities."""
    dropout_words: Share = 0.5
    """Of the projection of words and of the decoders."""
    margin: NotNegative = 1.0
    """Of the triplets."""
    score: Branches = "visual"
    """Distances of which modality; visual, as in the published code."""


@dataclass(frozen=True)
class AVMSTConfig(AVCAConfig):
    """AVMST: AVCA whose features are gated by a spiking network."""

    steps: Count = 10
    """Steps of the spiking network; each is given the whole input."""
    theta: NotNegative = 1.0
    """Threshold of the integrate-and-fire neurons."""


@dataclass(frozen=True)
class TCaFConfig(BaselineConfig):
    """TCaF."""

    learning_rate: Positive = 7e-5
    """Of Adam."""
    weight_decay: NotNegative = 1e-5
    """Of Adam: L2, added to the gradient."""
    dim: Count = 300
    """Width of the tokens."""
    joint: Count = 64
    """Width E of the joint space."""
    hidden: Count = 512
    """Width of the hidden layers of encoders, projection and decoder."""
    layers: Count = 6
    """Of the transformer."""
    heads: Count = 8
    """Of attention."""
    head: Count = 64
    """Width of a head."""
    mlp: Count = 128
    """Width of the transformer's hidden layer."""
    place: Annotated[Count, MultipleOf(2)] = 64
    """Width of the embeddings of modality and time; even."""
    time_scale: NotNegative = 10.0
    """Each random frequency is the sum of two normal numbers of this deviation, cycles a second."""
    dropout_encoder: Share = 0.3
    """Of the encoders."""
    dropout_place: Share = 0.2
    """Of the tokens."""
    dropout_transformer: Share = 0.3
    """Of the transformer."""
    dropout_projection: Share = 0.1
    """Of projection and decoder."""
    dropout_words: Share = 0.1
    """Of the projection of words and of their decoder."""
    normalise: Literal["none", "published"] = "none"
    """published: sound over 255, and each visual feature of unit length over the clip's time."""


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
