"""Class names as texts: prompts such as ``a video of {}``, and the mean over several of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def prompted(
    encode: Callable[[Sequence[str]], np.ndarray], names: Sequence[str], prompts: Sequence[str]
) -> np.ndarray:
    """Vectors of names, (C, W) float32 of unit length: the mean over prompts.

    Args:
        encode: texts → vectors of unit length, (C, W).
        names: class names; ``_`` is read as a space.
        prompts: texts with ``{}`` for the name.

    Example:
        >>> import numpy as np
        >>> table = {"a dog": [1.0, 0.0], "the dog": [0.0, 1.0]}
        >>> encode = lambda texts: np.array([table[text] for text in texts])
        >>> [round(x, 2) for x in prompted(encode, ["dog"], ["a {}", "the {}"])[0].tolist()]
        [0.71, 0.71]
    """
    spaced = [" ".join(name.replace("_", " ").split()) for name in names]
    vectors = [encode([prompt.replace("{}", name) for name in spaced]) for prompt in prompts]
    mean_CW = np.mean(vectors, axis=0)
    return (mean_CW / np.linalg.norm(mean_CW, axis=1, keepdims=True)).astype(np.float32)
