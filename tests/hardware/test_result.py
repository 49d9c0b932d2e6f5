"""Results on screen: names come from a file, and may look like markup."""

from __future__ import annotations

import io

from rich.console import Console

from hardware.compare import LayerComparison
from hardware.result import Result, show


def test_names_with_brackets_are_shown():
    layer = LayerComparison("lif [1]", 10, 0, 0.5, 1.0, None, None, None)
    compared = {"probe": [layer]}
    result = Result(
        "lava_float", None, "net [v2]", "", "", 1, 1, compared, {}, ("edge [a] is cut",)
    )
    screen = io.StringIO()
    show(result, Console(file=screen, width=200))
    assert all(name in screen.getvalue() for name in ("net [v2]: ", "lif [1]", "edge [a] is cut"))
