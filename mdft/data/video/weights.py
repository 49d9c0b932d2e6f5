"""Weights from strangers: tensors and nothing else, with exactly the names and shapes expected."""

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

#: Keys under which checkpoints keep the weights, beside optimiser and epoch.
_NESTED = ("model", "state_dict")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a PyTorch checkpoint, by name.

    A checkpoint is a pickle: it is read by PyTorch's restricted unpickler, which admits tensors,
    containers and ``argparse.Namespace`` (a bag of settings), and runs nothing. An archive that
    would grow when unpacked is refused first. ``module.`` before a name is taken off.

    Raises:
        UserError: it holds anything else, is damaged, or has no weights in it.
        OSError: it cannot be read.
    """
    with path.open("rb"):
        pass  # an unreadable file is an OSError that names it
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise UserError(f"{path}: not a whole safetensors file ({error})") from error
    _refuse_bomb(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sparse tensors, which are refused by name
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file brings out a dozen kinds
        raise UserError(f"{path}: not a checkpoint of tensors ({_why(error)})") from error
    for key in _NESTED:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds {type(found).__name__}, expected weights by name")
    tensors = {str(n): t for n, t in found.items() if isinstance(t, Tensor)}
    if not tensors:
        raise UserError(f"{path}: no tensor in it, expected weights by name")
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def load_strictly(module: nn.Module, path: Path, heads: str) -> None:
    """Load a checkpoint into a module; every weight must be there, of the right shape.

    Args:
        module: loaded in place.
        path: of the checkpoint.
        heads: regular expression of the names of weights that the checkpoint has beside those
            of the module, its classifiers; they are left aside. No other stranger is admitted.

    Raises:
        UserError: naming the file and the first weight that is missing, unknown, of another
            shape, or not finite; or as :func:`read_weights`.
    """
    found = read_weights(path)
    expected = module.state_dict()
    strangers = [n for n in found if n not in expected and not re.match(heads, n)]
    missing = [n for n in expected if n not in found]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(expected)} weights are missing, such as "
            f"{missing[0]!r}; the file is of another network"
        )
    if strangers:
        raise UserError(f"{path}: weight {strangers[0]!r} is unknown; it is of another network")
    for name, like in expected.items():
        _check(path, name, found[name], like)
    module.load_state_dict({name: found[name] for name in expected})


def _check(path: Path, name: str, tensor: Tensor, like: Tensor) -> None:
    # The shape first: a few stored bytes can be viewed as a tensor of gigabytes.
    if tensor.shape != like.shape:
        raise UserError(
            f"{path}: weight {name!r} is {tuple(tensor.shape)}, expected {tuple(like.shape)}"
        )
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"  # meta holds nothing
    if tensor.dtype.is_floating_point != like.dtype.is_floating_point or not plain:
        kind = f"{tensor.dtype} ({tensor.layout}, {tensor.device})"
        raise UserError(f"{path}: weight {name!r} is {kind}, expected {like.dtype}")
    if not torch.isfinite(tensor).all():
        raise UserError(f"{path}: weight {name!r} is not finite")


def _refuse_bomb(path: Path) -> None:
    """Raise a UserError if the file is an archive with compressed parts; PyTorch writes none."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: a damaged archive ({error})") from error
    if size > path.stat().st_size:
        raise UserError(f"{path}: unpacks to {size} bytes, more than the file has")


def _why(error: Exception) -> str:
    """The first sentence of PyTorch's long advice, or what it refused."""
    text = " ".join(str(error).split())
    refused = re.search(r"Unsupported (?:global|class|operand)[^.]*?[\w.]+", text)
    return refused.group() if refused else text[:150] or type(error).__name__
