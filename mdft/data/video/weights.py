"""Read untrusted weight files: tensors only, with exactly the expected names and shapes."""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mdft.errors import UserError

#: Keys under which checkpoints store the weights, beside the optimiser's state and the epoch.
_NESTED = ("model", "state_dict")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a PyTorch checkpoint, by name.

    A checkpoint is a pickle: PyTorch's restricted unpickler reads it, which allows only tensors,
    containers and ``argparse.Namespace`` (settings) and executes no code. An archive that would
    grow when unpacked is refused first. The prefix ``module.`` of a name is removed.

    Raises:
        UserError: the file has other content, is damaged, or has no weights.
        OSError: the file cannot be read.
    """
    with path.open("rb"):
        pass  # raises an OSError that names the file if it cannot be read
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise UserError(f"{path}: not a complete safetensors file ({error})") from error
    _refuse_bomb(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sparse tensors, which _check refuses
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # malicious files raise many types of exception
        raise UserError(f"{path}: not a checkpoint of tensors ({_why(error)})") from error
    for key in _NESTED:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds {type(found).__name__}, expected weights by name")
    tensors = {str(n): t for n, t in found.items() if isinstance(t, Tensor)}
    if not tensors:
        raise UserError(f"{path}: contains no tensor, expected weights by name")
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def load_strictly(module: nn.Module, path: Path, heads: str) -> None:
    """Load a checkpoint into a module; every weight must be present with the right shape.

    Args:
        module: the module, whose weights are replaced.
        path: path of the checkpoint.
        heads: regular expression of the names of the checkpoint's classifier weights, which are
            ignored. Any other weight that the module does not have is an error.

    Raises:
        UserError: a weight is missing, unknown, of another shape, or not finite; the message names
            the file and the first such weight. Also as :func:`read_weights`.
    """
    found = read_weights(path)
    expected = module.state_dict()
    unknown = [n for n in found if n not in expected and not re.match(heads, n)]
    missing = [n for n in expected if n not in found]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(expected)} weights are missing, such as "
            f"{missing[0]!r}; the file belongs to another network"
        )
    if unknown:
        raise UserError(
            f"{path}: weight {unknown[0]!r} is unknown; the file belongs to another network"
        )
    for name, like in expected.items():
        _check(path, name, found[name], like)
    module.load_state_dict({name: found[name] for name in expected})


def _check(path: Path, name: str, tensor: Tensor, like: Tensor) -> None:
    # Check the shape first: a few stored bytes can be viewed as a tensor of gigabytes.
    if tensor.shape != like.shape:
        raise UserError(
            f"{path}: weight {name!r} is {tuple(tensor.shape)}, expected {tuple(like.shape)}"
        )
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"  # meta: no data
    if tensor.dtype.is_floating_point != like.dtype.is_floating_point or not plain:
        kind = f"{tensor.dtype} ({tensor.layout}, {tensor.device})"
        raise UserError(f"{path}: weight {name!r} is {kind}, expected {like.dtype}")
    if not torch.isfinite(tensor).all():
        raise UserError(f"{path}: weight {name!r} is not finite")


def _refuse_bomb(path: Path) -> None:
    """Raise a UserError if an archive has compressed parts, which PyTorch never writes."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: damaged archive ({error})") from error
    if size > path.stat().st_size:
        raise UserError(f"{path}: unpacks to {size} bytes, more than the size of the file")


def _why(error: Exception) -> str:
    """The object that PyTorch refused, or the first 150 characters of its long message."""
    text = " ".join(str(error).split())
    refused = re.search(r"Unsupported (?:global|class|operand)[^.]*?[\w.]+", text)
    return refused.group() if refused else text[:150] or type(error).__name__
