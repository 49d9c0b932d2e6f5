"""``features.json`` of a benchmark: how its features and word vectors were made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mdft.errors import UserError

#: Written last: a layout without it is incomplete.
MANIFEST = "features.json"
FORMAT_VERSION = 1


def read_manifest(root: Path) -> dict[str, Any] | None:
    """Read ``features.json`` of a benchmark; None if it has none, as published benchmarks.

    Raises:
        UserError: the file is damaged, or has another format version.
    """
    path = root / MANIFEST
    try:
        found = json.loads(path.read_bytes())
        version, _, _ = (found[name] for name in ("format_version", "features", "words"))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); run python -m mdft.features again") from error
    if version != FORMAT_VERSION:
        raise UserError(f"{path}: format version {version!r}, expected {FORMAT_VERSION}")
    return found
