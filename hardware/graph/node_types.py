"""The node types of NIR: which ones are supported, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeType:
    """A supported node type.

    Attributes:
        reals: the fields that must be floating-point numbers.
        numbers: the fields that may be integers or floating-point numbers.
        whole: the fields that must be integers.
        optional: the fields that may be missing.
        words: the integer fields that may be a word instead, such as padding "same".
        meaning: the computation of a step in `reference_float`.
        lava: what Lava's processes support of it, and how.
    """

    meaning: str
    lava: str
    reals: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields."""
        return self.reals + self.numbers + self.whole


_FOLDED = "folded into the weights of the next population"
_LIF = "any constants; neurons that differ in tau or v_threshold − v_reset are groups"
_READOUT = "a LIF whose threshold is out of reach; only at an Output, only inline"


def _convolution(meaning: str) -> NodeType:
    """A convolution over one axis or two; their fields have the same names."""
    return NodeType(
        meaning,
        _FOLDED,
        reals=("weight",),
        numbers=("bias",),
        whole=("input_shape", "stride", "padding", "dilation", "groups"),
        optional=("input_shape",),
        words=("padding",),
    )


SUPPORTED: dict[str, NodeType] = {
    "Input": NodeType("x(t), given", "a stream", whole=("shape",), optional=("shape",)),
    "Output": NodeType(
        "spikes, or the membrane of a node that does not fire, or Σ W·x + b",
        "of a LIF, IF, CubaLIF, LI, CubaLI or I node; Σ W·x + b in floating point, inline",
        whole=("shape",),
        optional=("shape",),
    ),
    "Linear": NodeType("W·x", _FOLDED, reals=("weight",)),
    "Affine": NodeType("W·x + b", _FOLDED, reals=("weight",), numbers=("bias",)),
    "Scale": NodeType("s ⊙ x", _FOLDED, numbers=("scale",)),
    "Flatten": NodeType(
        "x, in C order",
        _FOLDED,
        whole=("start_dim", "end_dim", "input_type"),
        optional=("input_type",),
    ),
    "Conv1d": _convolution("torch's conv1d of x, shape (C, L), and b"),
    "Conv2d": _convolution("torch's conv2d of x, shape (C, H, W), and b"),
    "SumPool2d": NodeType(
        "the sum of each window, zeros around", _FOLDED, whole=("kernel_size", "stride", "padding")
    ),
    "AvgPool2d": NodeType(
        "the mean of each window, zeros around counted",
        _FOLDED,
        whole=("kernel_size", "stride", "padding"),
    ),
    "Delay": NodeType(
        "x(t − round(delay / dt)), 0 before",
        "streams that start later, and identity Dense processes",
        numbers=("delay",),
    ),
    "LIF": NodeType(
        "v += dt/tau·((v_leak − v) + r·I); z = v > v_threshold; v = v_reset where z",
        _LIF,
        numbers=("tau", "r", "v_leak", "v_reset", "v_threshold"),
        optional=("v_reset",),
    ),
    "IF": NodeType(
        "v += dt·r·I; z = v > v_threshold; v = v_reset where z",
        "as LIF",
        numbers=("r", "v_reset", "v_threshold"),
        optional=("v_reset",),
    ),
    "CubaLIF": NodeType(
        "i += dt/tau_syn·(w_in·x − i); then a LIF with I = i",
        "as LIF; v_reset = 0",
        numbers=("tau_syn", "tau_mem", "r", "v_leak", "v_reset", "v_threshold", "w_in"),
        optional=("v_reset", "w_in"),
    ),
    "LI": NodeType(
        "v += dt/tau·((v_leak − v) + r·I); sends v", _READOUT, numbers=("tau", "r", "v_leak")
    ),
    "CubaLI": NodeType(
        "i as in CubaLIF, then an LI with I = i",
        _READOUT,
        numbers=("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
        optional=("w_in",),
    ),
    "I": NodeType("v += dt·r·I; sends v", _READOUT, numbers=("r",)),
    "Threshold": NodeType(
        "z = x > threshold",
        "in floating point only: 12 bits hold no decay of 1",
        numbers=("threshold",),
    ),
}

REFUSED: dict[str, str] = {}
NEURONS = ("LIF", "IF", "CubaLIF", "LI", "CubaLI", "I", "Threshold")


def markdown() -> str:
    """Return docs/nodes.md; `python -m hardware.graph.node_types > docs/nodes.md` writes it."""
    read = "\n".join(f"| `{name}` | {t.meaning} | {t.lava} |" for name, t in SUPPORTED.items())
    return _PAGE.format(read=read)


_PAGE = """\
# NIR node types

This page is made by `python -m hardware.graph.node_types`; a test keeps it up to date.

`python -m hardware.run` reads graphs of these nodes, with any number of Inputs and Outputs, edges
that skip layers, and several edges into one node (they add).

## Cycles

An edge that closes a cycle delivers one step later: its target gets what the neurons before it
sent at the previous step, 0 at the first step, and the bias of an Affine between them at every
step. It is the convention of Lava's Dense. On every path from an
Input, taken in the order of the nodes' names, the edge back to a node on the path is that edge; a
Delay in a cycle adds to its step. A cycle without a neuron, or that no Input reaches, is an error
that names its nodes.

## Read

| node | a step, forward Euler | in Lava |
|---|---|---|
{read}

`reference_float` runs all of them, with parameters of their own for each neuron. Every state
starts at 0. Comparison is strict. There is no delay between layers: what a node sends at a step
reaches the next node at the same step. The membrane of a Cuba neuron sees the new current.

`dt` is 1e-4 s unless `--dt` says otherwise. NIR's `IF` and `I` integrate dt·r·I. Some tools write
r = 1 and mean one unit a step: give such a graph `--dt 1`; a note names the nodes.

A `weight` of integers is refused: other readers of the file break on it.

## Other forms of the same graph

Tools write one graph in several forms. These are read as the plain one and give the same spikes; a
note says what was changed:

- Shapes that differ by ones only lose them: an Input (1, 12), parameters (1, N) or (N, 1), a bias
  (1, N), a weight (N, M, 1, 1, 1).
- A scalar, or one value of shape (1,), as a parameter of a neuron, Scale or Threshold or as a bias
  holds for all.
- An Input, Output or Flatten without a shape has that of its edges.
- In a graph with convolutions or poolings, ones are dimensions: there each node gets the shape
  that its input determines.
- A graph within the graph, at any depth, is flattened if it has one Input and one Output: the node
  `lif` of `block` is named `block.lif`.

Parameters may be of float16, float32, float64 or integers. Names joined by dots have at most 1024
characters, and no two may be the same. A shape that differs by more than ones is an error that
names the node.

## In Lava

Lava's Dense delays by one step and nothing else does. What reaches a population over a shorter
path is delayed as late as needed: the stream of an input starts later, the spikes of a population
go through identity Dense processes. Samples stream back to back, and each population is reset when
a sample's first step reaches it.

Lava's LIF knows one decay and one threshold for all its neurons, no gain, no leak potential, and
resets to 0. So r goes into the weights, v_leak into the bias, and v_reset into the threshold, the
bias and one input at a sample's first step. The bias of a CubaLIF becomes an input that is always
1. In fixed point these are rounded like any weight, and the run says by how much. What cannot be
expressed is refused with the node's name before anything runs: a CubaLIF with v_reset, an LI that
feeds another node, reset by subtraction.

Neurons of one node that differ in decay or threshold become groups of equal constants, at most 1024
in all, and are put together again in the recording. Convolutions, poolings and delays of single
channels are Sparse processes. Recurrence of a layer to itself is one Dense. A cycle through several
layers needs Delays, anywhere in it, of as many steps as Lava takes for it, and is refused
otherwise; so are delays of spikes that need more than 512 identity Dense processes. With recurrence
or delays each sample is a run of its own, since spikes would arrive in the next one; in Lava's own
runtime such a graph must have no bias.

The parameters and matrices are checked too: finite numbers; time constants of at least `dt`; r and
thresholds above 0; v_reset not above the threshold; shapes that fit.
"""


if __name__ == "__main__":
    print(markdown(), end="")
