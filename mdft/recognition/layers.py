"""The layers of a spiking network as one line of text, such as ``16c5s2-p2-16c3-p2-256-C``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mdft.errors import UserError

#: What a layer may be, for error messages.
EXPECTED = (
    "layers joined by '-', each NcK, NcKsS (N kernels of side K, stride S), pK (sum over windows "
    "of side K) or N (N neurons), and C, the classes, as the last"
)
_CONV = re.compile(r"(\d{1,5})c(\d{1,3})(?:s(\d{1,3}))?")
_POOL = re.compile(r"p(\d{1,3})")
_DENSE = re.compile(r"\d{1,6}")


@dataclass(frozen=True)
class Conv:
    """A convolution with spiking neurons.

    Attributes:
        channels: number of kernels.
        kernel: side of the square kernels; the input is padded by ``(kernel − 1) // 2``.
        stride: steps between positions.
    """

    channels: int
    kernel: int
    stride: int = 1


@dataclass(frozen=True)
class Pool:
    """The sum over square windows that do not overlap.

    Attributes:
        side: side of a window.
    """

    side: int


@dataclass(frozen=True)
class Dense:
    """Spiking neurons that are connected to every value of their input.

    Attributes:
        neurons: number of neurons.
    """

    neurons: int


Layer = Conv | Pool | Dense


def parse_layers(text: str, classes: int) -> tuple[Layer, ...]:
    """Read the layers of a network.

    >>> parse_layers("16c5s2-p2-256-C", classes=10)
    (Conv(channels=16, kernel=5, stride=2), Pool(side=2), Dense(neurons=256), Dense(neurons=10))

    Args:
        text: the layers, see ``EXPECTED``.
        classes: the number of neurons of the last layer, C.

    Raises:
        UserError: a layer is none of these, C is not the last layer, a number is 0, or a
            convolution or pooling follows a dense layer.
    """
    *inner, last = text.split("-")
    if last != "C":
        raise UserError(f"--layers is {text!r}: the last layer is {last!r}, expected {EXPECTED}")
    layers: list[Layer] = []
    for word in inner:
        layer = _layer(text, word)
        if isinstance(layer, Conv | Pool) and any(isinstance(x, Dense) for x in layers):
            raise UserError(
                f"--layers is {text!r}: {word!r} follows a dense layer, expected it before: a "
                "dense layer has no image"
            )
        layers.append(layer)
    return (*layers, Dense(classes))


def _layer(text: str, word: str) -> Layer:
    if found := _CONV.fullmatch(word):
        channels, kernel, stride = found[1], found[2], found[3] or "1"
        numbers = (int(channels), int(kernel), int(stride))
        layer: Layer = Conv(*numbers)
    elif found := _POOL.fullmatch(word):
        numbers = (int(found[1]),)
        layer = Pool(*numbers)
    elif _DENSE.fullmatch(word):
        numbers = (int(word),)
        layer = Dense(*numbers)
    else:
        raise UserError(f"--layers is {text!r}: found {word!r}, expected {EXPECTED}")
    if 0 in numbers:
        raise UserError(f"--layers is {text!r}: {word!r} has a 0, expected numbers above 0")
    return layer
