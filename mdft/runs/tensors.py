"""Store tensors and a JSON value in one safetensors file, with a version and a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mdft.errors import UserError
from mdft.files import write_atomic

FORMAT_VERSION = 2
READABLE = (1, 2)  # 1 has no digest


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and a JSON value to one safetensors file, atomically.

    The header contains the format version and the SHA-256 of everything else.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {**metadata, "format_version": FORMAT_VERSION}
    header["sha256"] = _digest(contiguous, header)
    # A single key, because safetensors writes several keys in a random order.
    write_atomic(path, save(contiguous, metadata={"mdft": json.dumps(header)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the JSON value of a file written by :func:`write_tensors`.

    Raises:
        UserError: the file is damaged, was changed, or has another format or version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("mdft", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); train again") from error
    version = header.get("format_version") if isinstance(header, dict) else None
    if version not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise UserError(
            f"{path}: format version {version}, expected {known} in a file written by mdft.train"
        )
    digest = header.pop("sha256", None)
    if version > 1 and digest != _digest(tensors, header):
        raise UserError(
            f"{path}: the file was changed after it was written; restore it or train again"
        )
    del header["format_version"]
    return tensors, header


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """SHA-256 of names, types, shapes and bytes of contiguous CPU tensors, and of the header."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
