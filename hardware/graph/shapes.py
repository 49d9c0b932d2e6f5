"""Give every array of a flat graph its plain shape: without ones, scalars broadcast.

Tools differ in the shapes that they write for one and the same node: a batch of one in front of
the shape of an Input, (1, N) or (N, 1) for the parameters of N neurons, one number for all of
them, or no shape at all.
"""

from __future__ import annotations

import math

import numpy as np

from hardware.graph.convolution import (
    CONVOLUTIONS,
    IMAGES,
    convolution_window,
    numbers,
    pool_window,
)
from hardware.graph.node_types import NEURONS, SUPPORTED
from hardware.graph.structure import MAX_VALUES, Fields, Structure
from hardware.graph.topology import back_edges, topological
from mdft.errors import UserError

Shape = tuple[int, ...]
ENDS = ("Input", "Output")
MATRICES = ("Linear", "Affine")
SHOWN = 4  # changes that the note lists


def plain_shapes(found: Structure) -> tuple[Structure, list[str]]:
    """Return the same graph with plain shapes, and notes for the user about what was changed.

    The plain form of a shape has no ones, or is (1,). From the inputs on, each node's fields get
    the plain form that its other fields and its input determine:

    - the parameters of a neuron, a Scale or a Threshold: that of the parameter with more than one
      value, else that of the input; parameters of one value are broadcast;
    - a weight: two dimensions, (N, M) for an input of M values; a bias: (N,);
    - the shapes of Input, Output and Flatten: without ones; a missing one is that of the edges.

    In a graph with convolutions or pooling, ones are dimensions of images: there, each node gets
    the shape that its input determines, ones included.

    A shape that differs by more than ones is returned as it is: `hardware.graph.graph.lower`
    refuses it, with the names of the nodes.

    Raises:
        UserError: a node's shapes contradict each other, or cannot be found.
    """
    work = _Work(found)
    back = cycles(found)
    for name in topological(found.nodes, [e for e in found.edges if e not in back]):
        work.node(name)
    return Structure(work.nodes, found.edges, found.graphs), work.notes()


def cycles(found: Structure) -> frozenset[tuple[str, str]]:
    """Return the edges that close a cycle, see `hardware.graph.topology.back_edges`."""
    kinds = {name: str(fields["type"]) for name, fields in found.nodes.items()}
    inputs = [name for name, kind in kinds.items() if kind == "Input"]
    neurons = [name for name, kind in kinds.items() if kind in NEURONS]
    return back_edges(kinds, found.edges, inputs, neurons)


def without_ones(shape: Shape) -> Shape:
    """Return a shape without its ones; (1,) if it has nothing else."""
    return tuple(n for n in shape if n != 1) or (1,)


class _Work:
    def __init__(self, found: Structure) -> None:
        self.found = found
        self.nodes: dict[str, Fields] = {}
        self.out: dict[str, Shape] = {}  # what a node sends, with the ones of the file
        self.before: dict[str, list[str]] = {name: [] for name in found.nodes}
        self.after: dict[str, list[str]] = {name: [] for name in found.nodes}
        for a, b in found.edges:
            self.before[b].append(a)
            self.after[a].append(b)
        kinds = {str(fields["type"]) for fields in found.nodes.values()}
        self.images = not kinds.isdisjoint(IMAGES)
        self.changes: list[str] = []
        self.values = 0

    def node(self, name: str) -> None:
        """Make one node plain, after its sources."""
        fields = dict(self.found.nodes[name])
        kind = str(fields["type"])
        incoming = next((self.out[a] for a in self.before[name] if a in self.out), None)
        if kind in ENDS:
            out = self._end(name, fields, incoming)
        else:
            assert incoming is not None, name  # the structure has been checked
            if kind == "Flatten":
                out = self._flatten(name, fields, incoming)
            elif kind in MATRICES:
                out = self._matrix(name, fields, incoming)
            elif kind in CONVOLUTIONS:
                out = self._convolution(name, kind, fields, incoming)
            elif kind in IMAGES:
                out = self._pool(name, fields, incoming)
            else:
                out = self._elementwise(name, kind, fields, incoming)
        self.nodes[name], self.out[name] = fields, out

    def notes(self) -> list[str]:
        notes = []
        if graphs := self.found.graphs:
            notes.append(
                f"graphs within the graph were flattened: {_some(graphs)}; "
                f"nodes are named as in {graphs[0]}.<node>"
            )
        if self.changes:
            notes.append(f"shapes were made plain: {_some(self.changes)}")
        return notes

    def _end(self, name: str, fields: Fields, incoming: Shape | None) -> Shape:
        if "shape" in fields:
            shape = _dimensions(name, fields["shape"])
            wanted = self._expected(name, shape, incoming) if self.images else without_ones(shape)
            self._set(name, "shape", fields, shape, wanted)
            return wanted if self.images else shape
        shape = self._wanted(name) if incoming is None else incoming
        self._set(name, "shape", fields, shape, shape if self.images else without_ones(shape))
        return shape

    def _expected(self, name: str, shape: Shape, incoming: Shape | None) -> Shape:
        """Return the shape of an end in a graph of images, if it differs by ones only."""
        try:
            wanted = self._wanted(name) if incoming is None else incoming
        except UserError:  # no node after this Input has a shape
            return shape
        return wanted if without_ones(wanted) == without_ones(shape) else shape

    def _wanted(self, name: str) -> Shape:
        """Return the shape that the nodes after an Input without shape take."""
        waiting, seen = list(self.after[name]), set[str]()
        while waiting:
            after = waiting.pop(0)
            if after in seen:
                continue
            seen.add(after)
            fields = self.found.nodes[after]
            kind = str(fields["type"])
            if kind in MATRICES:
                if fields["weight"].ndim == 2:
                    return (fields["weight"].shape[1],)
                continue
            if kind in CONVOLUTIONS and "input_shape" in fields and fields["weight"].ndim > 2:
                channels = fields["weight"].shape[1] * int(fields["groups"].ravel()[0])
                return (channels, *fields["input_shape"].ravel().tolist())
            if kind in IMAGES:
                continue
            for field in ("shape", "input_type"):
                if field in fields:
                    return _dimensions(after, fields[field])
            for field in SUPPORTED[kind].numbers:
                if field in fields and fields[field].size > 1:
                    return fields[field].shape
            waiting += self.after[after]
        raise UserError(f"Input {name!r} has no shape, and no node after it has one")

    def _elementwise(self, name: str, kind: str, fields: Fields, incoming: Shape) -> Shape:
        given = {f: fields[f].shape for f in SUPPORTED[kind].numbers if f in fields}
        several = {without_ones(s) for f, s in given.items() if fields[f].size != 1}
        if len(several) > 1:
            raise UserError(f"{name}: found parameter shapes {given}, expected one")
        plain = next(iter(several), without_ones(incoming))
        if self.images and plain == without_ones(incoming):
            plain = incoming
        for field, shape in given.items():
            if fields[field].size == 1 and shape != plain:
                self._spend(name, plain)
                fields[field] = np.full(plain, fields[field].reshape(()))
                self._changed(f"{name}.{field}", shape, plain)
            else:
                self._reshape(name, field, fields, plain)
        return incoming if plain == without_ones(incoming) else plain

    def _convolution(self, name: str, kind: str, fields: Fields, incoming: Shape) -> Shape:
        """Give a convolution's input its shape, and its numbers one value for each dimension."""
        dims, weight = CONVOLUTIONS[kind], fields["weight"]
        groups = numbers(name, "groups", fields["groups"], 1, 1)[0]
        if weight.ndim != dims + 2 or not weight.size:
            raise UserError(
                f"{name}.weight has shape {weight.shape}, expected {dims + 2} dimensions"
            )
        given = incoming[-dims:]
        if "input_shape" in fields:
            given = numbers(name, "input_shape", fields["input_shape"], dims, 1)
        shape = (weight.shape[1] * groups, *given)
        if len(given) < dims or without_ones(shape) != without_ones(incoming):
            raise UserError(
                f"{name}: weight {weight.shape} with {groups} groups takes an input of shape "
                f"{shape}, its input has {incoming}"
            )
        stride, dilation = (fields[f] for f in ("stride", "dilation"))
        window = convolution_window(name, weight.shape[2:], stride, fields["padding"], dilation)
        spatial = window.output(name, given)
        if dims == 2:
            fields |= {"stride": np.array(window.stride), "dilation": np.array(window.dilation)}
            if fields["padding"].dtype.kind not in "US":
                fields["padding"] = np.array(window.before)
        fields["input_shape"] = np.array(given if dims == 2 else given[0])
        self._scalar_or_shape(name, fields, (weight.shape[0],))
        return (weight.shape[0], *spatial)

    def _pool(self, name: str, fields: Fields, incoming: Shape) -> Shape:
        if len(incoming) != 3:
            raise UserError(f"{name!r} takes an input of shape (C, H, W), found {incoming}")
        sizes = (fields[f] for f in ("kernel_size", "stride", "padding"))
        window = pool_window(name, *sizes)
        fields["kernel_size"] = np.array(window.kernel)
        fields["stride"], fields["padding"] = np.array(window.stride), np.array(window.before)
        return (incoming[0], *window.output(name, incoming[1:]))

    def _matrix(self, name: str, fields: Fields, incoming: Shape) -> Shape:
        weight = fields["weight"]
        width = math.prod(incoming)
        if weight.ndim != 2:
            plain = (weight.size // max(width, 1), width)
            if not weight.size * width or without_ones(plain) != without_ones(weight.shape):
                raise UserError(
                    f"{name}.weight has shape {weight.shape}, expected two dimensions, "
                    f"and {width} values for the second"
                )
            self._reshape(name, "weight", fields, plain)
        out = (fields["weight"].shape[0],)
        self._scalar_or_shape(name, fields, out)
        return out

    def _scalar_or_shape(self, name: str, fields: Fields, out: Shape) -> None:
        """Give a bias its shape; one value is repeated."""
        if "bias" in fields and fields["bias"].size == 1 and fields["bias"].shape != out:
            shape = fields["bias"].shape
            fields["bias"] = np.full(out, fields["bias"].reshape(()))
            self._changed(f"{name}.bias", shape, out)
        elif "bias" in fields:
            self._reshape(name, "bias", fields, out)

    def _flatten(self, name: str, fields: Fields, incoming: Shape) -> Shape:
        """Make the shape of a Flatten plain, and count its dimensions without the ones."""
        known = "input_type" in fields
        shape = _dimensions(name, fields["input_type"]) if known else incoming
        dims = [fields[f].ravel().tolist() for f in ("start_dim", "end_dim")]
        if any(len(x) != 1 for x in dims):
            raise UserError(f"{name} flattens dimensions {dims[0]} to {dims[1]}, expected integers")
        start, end = (x[0] + len(shape) * (x[0] < 0) for x in dims)
        if not 0 <= start <= end + 1 <= len(shape) or end < 0:
            raise UserError(
                f"{name} flattens dimensions {dims[0][0]} to {dims[1][0]} of {shape}, "
                "expected dimensions that it has"
            )
        if self.images:
            return self._flatten_image(name, fields, incoming, (shape, start, end))
        empty = start > end  # nothing is merged: the default start_dim is 1, of a vector too
        start -= empty
        out = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
        plain = without_ones(shape)
        if empty or not known or plain != shape:
            first = sum(n != 1 for n in shape[:start])
            last = max(first, sum(n != 1 for n in shape[: end + 1]) - 1)
            if first == len(plain):  # all that it merges are ones
                first = last = 0
            fields |= {"start_dim": np.array(first), "end_dim": np.array(last)}
        self._set(name, "input_type", fields, shape, plain)
        return out

    def _flatten_image(
        self, name: str, fields: Fields, incoming: Shape, given: tuple[Shape, int, int]
    ) -> Shape:
        """Make the shape of a Flatten that of its input, where they differ by ones only."""
        shape, start, end = given
        out = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
        if start > end:
            start, end, out = 0, 0, shape
        elif shape != incoming and without_ones(shape) == without_ones(incoming):
            if len(without_ones(out)) == 1:  # all of its values, in order
                start, end, out = 0, len(incoming) - 1, (math.prod(shape),)
                self._set(name, "input_type", fields, shape, incoming)
        else:
            self._set(name, "input_type", fields, shape, shape)
        fields |= {"start_dim": np.array(start), "end_dim": np.array(end)}
        return out

    def _set(self, name: str, field: str, fields: Fields, shape: Shape, plain: Shape) -> None:
        """Store the shape of an Input, Output or Flatten."""
        if field not in fields:
            self.changes.append(f"{name} without a shape to {plain}")
        elif shape != plain:
            self._changed(name, shape, plain)
        elif fields[field].ndim == 1:
            return
        fields[field] = np.array(plain)

    def _reshape(self, name: str, field: str, fields: Fields, plain: Shape) -> None:
        """Give a field its plain shape, if they differ by ones only."""
        shape = fields[field].shape
        if shape != plain and without_ones(shape) == without_ones(plain):
            fields[field] = fields[field].reshape(plain)
            self._changed(f"{name}.{field}", shape, plain)

    def _changed(self, what: str, shape: Shape, plain: Shape) -> None:
        self.changes.append(f"{what} {shape} to {plain}")

    def _spend(self, name: str, shape: Shape) -> None:
        """Count the values of a broadcast: a small file may ask for many."""
        self.values += math.prod(shape)
        if self.values > MAX_VALUES:
            raise UserError(f"{name} broadcast to {shape}: more than {MAX_VALUES} values in all")


def _dimensions(name: str, value: np.ndarray) -> Shape:
    shape = tuple(int(n) for n in value.ravel())
    if not shape or min(shape) < 1:
        raise UserError(f"{name!r} has shape {shape}, expected dimensions above 0")
    if math.prod(shape) > MAX_VALUES:
        raise UserError(f"{name!r} has shape {shape}, expected at most {MAX_VALUES} values")
    return shape


def _some(words: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more
