"""YAMNet's embedding of sound, 1024 wide, from its TFLite file.

YAMNet (Plakal and Ellis, Google) is MobileNet-v1 on log-mel spectrograms, trained on AudioSet's
521 classes. One window has 15,600 samples at 16 kHz; the next one starts 0.48 s later.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mdft.data.video.concepts import Head, concept_names, concept_priors
from mdft.errors import UserError, reason, require_file

RATE, WINDOW, HOP, WIDTH = 16_000, 15_600, 7_680, 1024
_CLASSES = 521
#: SHA-256 of the file that docs/real.md was measured with.
KNOWN = "469be6a3421cbc52cf97e9f2f966cba984198e8e7af9854d68b3e3ebb1e04194"


class YAMNet:
    """The network on the CPU, one window at a time.

    Args:
        path: path of the TFLite file.

    Attributes:
        head: its last layer, from the embedding to AudioSet's classes.

    Raises:
        UserError: `ai-edge-litert` is missing, or the file is not YAMNet's.
    """

    def __init__(self, path: Path) -> None:
        require_file(path, "YAMNet's TFLite file")
        self._interpreter = _interpreter(path)
        tensors = self._interpreter.get_tensor_details()
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        pooled = [t for t in tensors if list(t["shape"]) == [1, WIDTH] and t["dtype"] == np.float32]
        weights = [t for t in tensors if list(t["shape"]) == [_CLASSES, WIDTH]]
        biases = [t for t in tensors if list(t["shape"]) == [_CLASSES]]
        scores = [t for t in outputs if t["shape"][-1] == _CLASSES]
        shape = [int(n) for n in inputs[0]["shape"]]
        counts = [len(found) for found in (inputs, pooled, weights, biases, scores)]
        if counts != [1] * 5 or int(np.prod(shape)) != WINDOW:
            raise UserError(
                f"{path}: a network of input {shape}, expected YAMNet: {WINDOW} samples, an inner "
                f"tensor {WIDTH} wide and {_CLASSES} scores"
            )
        self._input, self._shape = inputs[0]["index"], shape
        self._pooled = pooled[0]["index"]
        self.head = Head(
            concept_names("audioset"),
            self._floats(weights[0]),
            self._floats(biases[0]),
            exclusive=False,
            prior_K=concept_priors("audioset"),
        )

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        """(T·16000,) float32 in ±1 → (T, 1024) float32.

        A second's vector is the mean over the windows whose middle is in it.
        """
        seconds = len(sound) // RATE
        starts = range(0, seconds * RATE - WINDOW + 1, HOP)
        sums_TD, counts_T = np.zeros((seconds, WIDTH)), np.zeros(seconds)
        for start in starts:
            second = (start + WINDOW // 2) // RATE
            sums_TD[second] += self._window(sound[start : start + WINDOW])
            counts_T[second] += 1
        return (sums_TD / counts_T[:, None]).astype(np.float32)

    def _window(self, samples: np.ndarray) -> np.ndarray:
        window = np.ascontiguousarray(samples, dtype=np.float32).reshape(self._shape)
        self._interpreter.set_tensor(self._input, window)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._pooled)[0]

    def _floats(self, tensor: dict[str, Any]) -> np.ndarray:
        """A constant of the network; int8 weights times their scales."""
        values = self._interpreter.get_tensor(tensor["index"])
        if values.dtype == np.float32:
            return values
        found = tensor["quantization_parameters"]
        scales, zeros = found["scales"], found["zero_points"]
        return ((values.astype(np.float32) - zeros[:, None]) * scales[:, None]).astype(np.float32)


def _interpreter(path: Path) -> Any:
    try:
        Interpreter = import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError as error:
        raise UserError(
            "--backbone light: needs ai-edge-litert, which runs YAMNet; install it with "
            "`pip install 'mdft[light]'` or `uv sync --extra light`"
        ) from error
    try:
        with _quiet(), warnings.catch_warnings():
            # The embedding is an inner tensor, so inner tensors have to be kept.
            warnings.simplefilter("ignore", UserWarning)
            made = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
            made.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"{path}: not a complete TFLite file ({reason(error)}); expected YAMNet's, SHA-256 "
            f"{KNOWN[:8]}…"
        ) from error
    return made


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what a C++ library writes to stderr: one line about its kernels at every start."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
