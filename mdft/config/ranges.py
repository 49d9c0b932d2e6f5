"""Ranges of a configuration's fields, stated in their types; pydantic checks them.

The annotations are those of annotated-types, a dependency of pydantic, so that a command prints
its ``--help`` without importing pydantic.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Interval

from mdft.errors import UserError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Interval(ge=0, lt=1)]
Positive = Annotated[float, Interval(gt=0, lt=math.inf)]
NotNegative = Annotated[float, Interval(ge=0, lt=math.inf)]
FrameSize = Annotated[int, Interval(ge=16, le=512)]
BinsPerSecond = Annotated[int, Interval(ge=1, le=1000)]
Seed = Annotated[int, Interval(ge=0, lt=2**32)]


@lru_cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def check_ranges(config: Any) -> None:
    """Check the types and the ranges of all fields of a configuration, nested ones included.

    Args:
        config: a dataclass.

    Raises:
        UserError: a field is out of its range or of another type; the message names the first.
    """
    from pydantic import ValidationError

    try:
        _adapter(type(config)).validate_python(asdict(config))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        expected = first["msg"].removeprefix("Input should be ")
        expected = expected.replace("greater than or equal to", "at least")
        expected = expected.replace("less than or equal to", "at most")
        raise UserError(f"{name} is {first['input']!r}, expected {expected}") from None
