"""A child of `mdft.isolation` in which a file decides what happens: its text is run as Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mdft.isolation import Answer, serve


def read(path: str, **request: Any) -> Answer:
    names: dict[str, Any] = {"header": {}, "arrays": {}, "request": request, "path": path}
    exec(Path(path).read_text(), names)
    return names["header"], names["arrays"]


if __name__ == "__main__":
    serve(read, int(sys.argv[1]))
