"""Hyperparameters of the baselines, as their papers and code publish them (docs/baselines.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, MultipleOf

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
    "clipclap",
    "means",
    "ridge",
    "gru",
    "transformer",
    "conse",
]
#: Systems in closed form, with a penalty whose strength is chosen.
PENALISED = ("means", "ridge")
#: Their strengths of the penalty, one for each epoch of stage 1: with them the protocol's choice of
#: an epoch on the validation classes chooses the strength.
STRENGTHS = tuple(10.0 ** (k / 2) for k in range(-8, 9))
Branches = Literal["audio", "visual", "both"]


@dataclass(frozen=True)
class BaselineConfig:
    """Fields that every baseline has; those in closed form use none of them."""

    learning_rate: Positive = 1e-3
    """Adam's learning rate."""
    weight_decay: NotNegative = 0.0
    """Adam's weight decay: an L2 term added to the gradient."""
    batch_size: Annotated[int, Ge(2)] | None = None
    """Clips per training step, in as many steps per epoch as with the --batch-size of the run;
    default: that batch size."""


@dataclass(frozen=True)
class CompatibilityConfig(BaselineConfig):
    """SJE and DeViSE."""

    margin: NotNegative = 0.1
    """Margin of the hinge loss."""
    dropout: Share = 0.2
    """Dropout probability of features and word vectors."""
    normalise: bool = False
    """Scale features to unit length; published with C3D and VGGish features only."""
    score: Literal["euclidean", "compatibility"] = "euclidean"
    """euclidean: distance to a word vector, as in AVCA's code; compatibility: the bilinear
    compatibility that is trained."""


@dataclass(frozen=True)
class APNConfig(BaselineConfig):
    """Attribute Prototype Network on given features."""

    normalise: bool = False
    """Scale features to unit length; published with C3D and VGGish features only."""


@dataclass(frozen=True)
class FVAEGANConfig(BaselineConfig):
    """f-VAEGAN-D2: train a feature generator, then a classifier on generated features."""

    beta1: Share = 0.5
    """Adam's β1; 0.5 is usual for adversarial training."""
    latent: Count = 300
    """Width of the generator's noise input."""
    hidden_encoder: Count = 300
    """Width of the encoder's hidden layer."""
    hidden_generator: Count = 512
    """Width of the generator's hidden layer."""
    hidden_critic: Count = 512
    """Width of the critic's hidden layer."""
    critic_steps: Count = 5
    """Critic updates per generator update."""
    penalty: NotNegative = 10.0
    """Weight of the gradient penalty."""
    gan_weight: NotNegative = 10.0
    """Weight of the adversarial term in the generator's loss."""
    synthetic: Count = 1000
    """Features to generate for each unseen class."""
    classifier_epochs: Count = 30
    """Epochs of the classifier."""
    classifier_batch: Count = 1000
    """Batch size of the classifier."""
    classifier_rate: NotNegative = 1e-3
    """Learning rate of the classifier."""


@dataclass(frozen=True)
class CJMEConfig(BaselineConfig):
    """Coordinated Joint Multimodal Embeddings."""

    joint: Count = 64
    """Width E of the joint space."""
    hidden: Count = 1024
    """Width of the hidden layer of both encoders."""
    dropout: Share = 0.2
    """Dropout probability of every hidden layer."""
    margin: NotNegative = 1.0
    """Margin of the triplet loss."""
    indifference: NotNegative = 0.1
    """Prefer no modality if the two entropies differ by less than this, in nats."""
    attention: Literal["hard", "soft"] = "hard"
    """hard: score with the preferred modality alone; soft: weight both by the attention."""


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
    """Dropout probability of the encoders' hidden layers."""
    dropout_decoder: Share = 0.5
    """Dropout probability of the decoder's hidden layer."""
    margin: NotNegative = 1.0
    """Margin of the triplet loss."""
    score: Branches = "both"
    """Modality whose distances give the score; both: the sum of the two distances."""


@dataclass(frozen=True)
class AVCAConfig(BaselineConfig):
    """AVCA."""

    weight_decay: NotNegative = 1e-5
    """Adam's weight decay: an L2 term added to the gradient."""
    dim: Count = 300
    """Width of the tokens."""
    joint: Count = 64
    """Width E of the joint space."""
    hidden: Count = 512
    """Width of the hidden layers of encoders and projections."""
    layers: Count = 1
    """Layers of the transformer."""
    heads: Count = 3
    """Attention heads."""
    head: Count = 100
    """Width of an attention head."""
    mlp: Count = 64
    """Width of the transformer's hidden layer."""
    dropout_encoder: Share = 0.2
    """Dropout probability of the encoders and the transformer."""
    dropout_projection: Share = 0.3
    """Dropout probability of the projections of both modalities."""
    dropout_words: Share = 0.5
    """Dropout probability of the word projection and of the decoders."""
    margin: NotNegative = 1.0
    """Margin of the triplet loss."""
    score: Branches = "visual"
    """Modality whose distances give the score; the published code uses visual."""


@dataclass(frozen=True)
class AVMSTConfig(AVCAConfig):
    """AVMST: AVCA whose features are gated by a spiking network."""

    steps: Count = 10
    """Time steps of the spiking network; each step receives the whole input."""
    theta: NotNegative = 1.0
    """Firing threshold of the integrate-and-fire neurons."""


@dataclass(frozen=True)
class TCaFConfig(BaselineConfig):
    """TCaF."""

    learning_rate: Positive = 7e-5
    """Adam's learning rate."""
    weight_decay: NotNegative = 1e-5
    """Adam's weight decay: an L2 term added to the gradient."""
    dim: Count = 300
    """Width of the tokens."""
    joint: Count = 64
    """Width E of the joint space."""
    hidden: Count = 512
    """Width of the hidden layers of encoders, projection and decoder."""
    layers: Count = 6
    """Layers of the transformer."""
    heads: Count = 8
    """Attention heads."""
    head: Count = 64
    """Width of an attention head."""
    mlp: Count = 128
    """Width of the transformer's hidden layer."""
    place: Annotated[Count, MultipleOf(2)] = 64
    """Width of the modality and time embeddings; an even number."""
    time_scale: NotNegative = 10.0
    """Standard deviation, in cycles per second, of the two normal numbers whose sum is a random
    frequency of the time embedding."""
    dropout_encoder: Share = 0.3
    """Dropout probability of the encoders."""
    dropout_place: Share = 0.2
    """Dropout probability of the tokens."""
    dropout_transformer: Share = 0.3
    """Dropout probability of the transformer."""
    dropout_projection: Share = 0.1
    """Dropout probability of the projection and the decoder."""
    dropout_words: Share = 0.1
    """Dropout probability of the word projection and its decoder."""
    bins: Count = 1
    """Event bins of a second that are one token, beside each other, with --inputs features+events:
    a token is then a second, as in the paper; 1: each bin is a token."""
    normalise: Literal["none", "published"] = "none"
    """published: divide audio features by 255, and scale each visual feature to unit length over
    the time of the clip."""


@dataclass(frozen=True)
class ClipClapConfig(BaselineConfig):
    """ClipClap."""

    learning_rate: Positive = 7e-5
    """Adam's learning rate."""
    weight_decay: NotNegative = 1e-5
    """Adam's weight decay: an L2 term added to the gradient."""
    dim: Count = 512
    """Width of the encoded features and text embeddings."""
    joint: Count = 64
    """Width E of the joint space."""
    hidden: Count = 512
    """Width of the hidden layers of projection and decoder."""
    dropout_encoder: Share = 0.1
    """Dropout probability of both encoders."""
    dropout_projection: Share = 0.1
    """Dropout probability of the projection and the decoder of clips."""
    dropout_words: Share = 0.1
    """Dropout probability of the projection and the decoder of words."""


@dataclass(frozen=True)
class ClassMeansConfig(BaselineConfig):
    """Nearest class mean; every strength is tried, and epochs and patience are not used."""


@dataclass(frozen=True)
class RidgeConfig(BaselineConfig):
    """Ridge regression to the word vectors.

    Every strength is tried; epochs and patience are not used.
    """

    use: Literal["all", "events"] = "all"
    """all: every input; events: only E_v."""
    time: Literal["mean", "steps"] = "mean"
    """mean: the mean over a clip; steps: all of its steps in a row."""
    events_weight: Positive = 1.0
    """Factor on the standardised events, which weakens or strengthens their penalty."""


@dataclass(frozen=True)
class SequenceConfig(BaselineConfig):
    """GRU and transformer over the steps of a clip."""

    hidden: Count = 128
    """Width of the network."""
    dropout: Share = 0.2
    """Dropout probability of the input and of the hidden layers."""
    temperature: Positive = 0.1
    """Temperature τ of the softmax over the cosines."""


@dataclass(frozen=True)
class GRUConfig(SequenceConfig):
    """A gated recurrent network of one layer."""


@dataclass(frozen=True)
class TransformerConfig(SequenceConfig):
    """A small transformer."""

    layers: Count = 2
    """Number of layers."""
    heads: Count = 4
    """Attention heads."""


@dataclass(frozen=True)
class ConSEConfig(BaselineConfig):
    """Labels without training, by the concepts of the backbone light (docs/real.md)."""

    tau: Positive = 0.07
    """Temperature τ of a class's mixture of concepts."""


@dataclass(frozen=True)
class BaselinesConfig:
    """Hyperparameters of each baseline; those of the one that ``--model`` names are used."""

    sje: CompatibilityConfig = field(default_factory=CompatibilityConfig)
    devise: CompatibilityConfig = field(default_factory=CompatibilityConfig)
    apn: APNConfig = field(default_factory=APNConfig)
    fvaegan: FVAEGANConfig = field(default_factory=FVAEGANConfig)
    cjme: CJMEConfig = field(default_factory=CJMEConfig)
    avgzslnet: AVGZSLNetConfig = field(default_factory=AVGZSLNetConfig)
    avca: AVCAConfig = field(default_factory=AVCAConfig)
    tcaf: TCaFConfig = field(default_factory=TCaFConfig)
    avmst: AVMSTConfig = field(default_factory=AVMSTConfig)
    clipclap: ClipClapConfig = field(default_factory=ClipClapConfig)
    means: ClassMeansConfig = field(default_factory=ClassMeansConfig)
    ridge: RidgeConfig = field(default_factory=RidgeConfig)
    gru: GRUConfig = field(default_factory=GRUConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    conse: ConSEConfig = field(default_factory=ConSEConfig)
