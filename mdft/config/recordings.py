"""Recordings of an event camera, and the spiking network that is trained on them; free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from annotated_types import Ge, Interval

from mdft.config.ranges import Count, NotNegative, Positive, Seed, check_ranges
from mdft.errors import UserError, require, unknown
from mdft.lif.grid import DECAY_STEPS, FEWEST_BITS, MOST_BITS, Arithmetic

FOLDER = "folder"
#: Dataset classes of Tonic: name → the argument that names the split; None: there is one split.
TONIC: dict[str, str | None] = {
    "NMNIST": "train",
    "DVSGesture": "train",
    "SHD": "train",
    "SSC": "split",
    "NCALTECH101": None,
    "POKERDVS": "train",
    "ASLDVS": None,
}
#: Whether the threshold of a network follows the events of each bin.
Threshold = Literal["fixed", "moving"]
#: Transforms: name → the number that follows "=" (its meaning), or None.
TRANSFORMS: dict[str, str | None] = {
    "sort": None,
    "denoise": "µs",
    "drop": "share",
    "pool": "pixels",
    "mirror": None,
    "shift": "pixels",
}


@dataclass(frozen=True)
class Transform:
    """One transform of the recordings.

    Attributes:
        name: a key of ``TRANSFORMS``.
        number: the number after "=", or 0.
    """

    name: str
    number: float = 0.0


def parse_transform(text: str) -> Transform:
    """Read a transform such as ``mirror`` or ``denoise=10000``.

    Raises:
        UserError: the name is unknown, or the number is missing, superfluous or out of range.
    """
    name, given, number = text.partition("=")
    if name not in TRANSFORMS:
        raise unknown("--data.transform", name, TRANSFORMS)
    meaning = TRANSFORMS[name]
    if meaning is None:
        require(not given, "--data.transform", text, f"{name} without a number")
        return Transform(name)
    try:
        value = float(number)
    except ValueError:
        raise UserError(
            f"--data.transform is {text!r}, expected {name}=NUMBER ({meaning})"
        ) from None
    fine = {"share": 0 < value < 1, "µs": value >= 1, "pixels": value >= 1 and value.is_integer()}
    expected = {"share": "between 0 and 1", "µs": "of at least 1 µs", "pixels": "an integer from 1"}
    require(fine[meaning], "--data.transform", text, f"{name}=NUMBER, {expected[meaning]}")
    return Transform(name, value)


@dataclass(frozen=True)
class RecordingsConfig:
    """Where the recordings are, and how they become the input of the network."""

    root: Path = Path("data")
    """The folder that Tonic's dataset is saved to; or with `folder` the one that holds a subfolder
    a class, or Train and Test with a subfolder a class each."""
    download: bool = False
    """Let Tonic download the dataset if it is not in the folder."""
    transform: tuple[str, ...] = ()
    """In this order: sort; denoise=µs, Tonic's Denoise; drop=share, Tonic's DropEvent, for training
    recordings; pool=k, k × k pixels become one. In every epoch anew: mirror, half of the training
    recordings left to right; shift=k, training recordings by up to k pixels."""
    bins: Count = 10
    """Number of bins, which are the steps of the network."""
    bin_ms: Positive = 30.0
    """Length of a bin in milliseconds; later events are dropped."""
    bin_events: Annotated[int, Ge(0)] = 0
    """Fill each bin with so many events instead; 0: bins of --data.bin-ms."""
    sensor: tuple[Count, Count] | None = None
    """Width and height of the sensor, for recordings that do not declare it; videos are scaled to
    it."""
    test_share: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    """Share of each class that becomes test data if the dataset has no test split."""
    split_seed: Seed = 0
    """Seed of that split, and of the transform drop."""
    cache: Path | None = None
    """Folder of the cache; default: $MDFT_CACHE, else ~/.cache/mdft."""

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """The transforms with their numbers."""
        return tuple(map(parse_transform, self.transform))


@dataclass(frozen=True)
class RecognitionConfig:
    """Train a spiking network on the recordings of an event camera, exact in Loihi's arithmetic."""

    dataset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    """A dataset class of Tonic (NMNIST, DVSGesture, SHD, SSC, NCALTECH101, POKERDVS, ASLDVS), or
    the word folder."""
    data: RecordingsConfig = field(default_factory=RecordingsConfig)
    """Recordings and bins."""
    layers: str | None = None
    """Layers: N neurons; NcK or NcKsS, N kernels of side K and stride S; pK, the sum over K × K
    values; C, the classes. For example 16c5s2-p2-16c3-p2-256-C; default: 256-C."""
    init: Path | None = None
    """Train on with this NIR graph instead of --layers."""
    dt: Positive = 1e-4
    """Seconds a step in the NIR graph, to which its time constants refer; 1 for graphs whose r is
    a step's."""
    arithmetic: Arithmetic = "loihi"
    """loihi: integer membranes of 24 bits, as Lava's fixed-point LIF; float: floating point."""
    bits: Annotated[int, Interval(ge=FEWEST_BITS, le=MOST_BITS)] = 8
    """Bits of a weight, sign included."""
    beta: Annotated[float | tuple[float, ...] | None, tyro.conf.arg(metavar="FLOAT [FLOAT …]")] = (
        None
    )
    """Leak a step of the neurons of --layers, a multiple of 1/32; default: 0.9375. Of several, each
    layer divides its neurons among them evenly, and those of C have the first."""
    threshold: Threshold = "fixed"
    """moving: the threshold of the neurons of --layers follows the events of each bin, eq. (7)."""
    alpha: Positive = 2.0
    """Sharpness of the surrogate gradient, an arctangent."""
    epochs: Annotated[int, Ge(0)] = 30
    """Passes over the training recordings; 0 only quantises and tests."""
    batch_size: Count = 32
    """Recordings a step of the optimiser."""
    learning_rate: Positive = 5e-3
    """Adam's learning rate at the start; it falls to 0 by a cosine."""
    temperature: Positive = 2.0
    """Spike counts are divided by this before the softmax of the cross-entropy."""
    weight_decay: NotNegative = 0.0
    """Adam's decoupled weight decay."""
    seed: Seed = 0
    """Seed of the weights and of the order of the recordings."""

    @property
    def betas(self) -> tuple[float, ...]:
        """The values of ``beta``; () if it is None."""
        if self.beta is None:
            return ()
        return self.beta if isinstance(self.beta, tuple) else (self.beta,)

    def check(self) -> None:
        """Raise a UserError that names the first field out of its range."""
        check_ranges(self)
        if self.dataset not in (*TONIC, FOLDER):
            raise unknown("DATASET", self.dataset, (*TONIC, FOLDER))
        for beta in self.betas:
            steps = 0 < beta < 1 and (beta * DECAY_STEPS).is_integer()
            require(steps, "beta", beta, f"a multiple of 1/{DECAY_STEPS} between 0 and 1")
        require(self.beta is None or self.betas != (), "beta", self.beta, "at least one number")
        for name in ("layers", "beta"):
            fine = self.init is None or getattr(self, name) is None
            require(fine, name, getattr(self, name), "none with --init, whose graph has its own")
        moving = self.threshold == "moving"
        fine = self.init is None or not moving
        require(fine, "threshold", self.threshold, "fixed with --init, whose graph has its own")
        several = moving and len(self.betas) > 1
        require(
            not several,
            "beta",
            self.betas,
            "one value with --threshold moving, whose current depends on it",
        )
        _ = self.data.transforms

    def absolute(self) -> RecognitionConfig:
        """The same configuration with absolute input paths."""
        data = replace(self.data, root=self.data.root.resolve())
        return replace(self, data=data, init=self.init and self.init.resolve())
