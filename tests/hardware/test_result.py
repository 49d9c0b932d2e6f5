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
    assert "first difference" not in screen.getvalue()


def test_the_first_difference_has_a_column_only_if_there_is_one():
    same = LayerComparison("lif_1", 10, 0, 0.5, 1.0, None, None, None)
    other = LayerComparison("lif_2", 10, 1, 0.5, 0.9, (1, 2, 3), -0.25, None)
    result = Result("netx", None, "net", "", "", 2, 5, {"probe": [same, other]}, {}, ())
    screen = io.StringIO()
    show(result, Console(file=screen, width=200))
    assert "first difference: membrane − threshold" in screen.getvalue()
    assert "-0.25 at sample 1, step 2, neuron 3" in screen.getvalue()
