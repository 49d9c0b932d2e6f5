"""Read csv files that have a row for each clip of a folder: its name, and a value in a column."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from mdft.data.files.splits import nfc
from mdft.errors import UserError, closest


def read_clip_csv(path: Path, column: str, clips: Sequence[str]) -> dict[str, tuple[int, str]]:
    """The value of every clip that has a row.

    Columns may be separated by commas, semicolons or tabs. Names are compared in Unicode's NFC
    form, because file names from macOS are decomposed, and a backslash is a slash.

    Args:
        path: the csv file, with the columns ``clip`` and `column`.
        column: name of the column with the values.
        clips: all clips of the folder, as paths in it.

    Returns:
        clip, as in `clips` → line and value, in the order of the rows.

    Raises:
        UserError: the file is no such table, a row matches no clip, a clip has two rows, or two
            clips have the same name in NFC; the message names file and row.
        OSError: the file cannot be read.
    """
    known = _by_name(path, clips)
    found: dict[str, tuple[int, str]] = {}
    unmatched: list[tuple[int, str]] = []
    for line, clip, value in _rows(path, column):
        name = known.get(_name(clip))
        if name is None:
            unmatched.append((line, clip))
        elif name in found:
            raise UserError(
                f"{path}: line {line}: clip {clip!r} is listed twice, first in line "
                f"{found[name][0]}; remove one row"
            )
        else:
            found[name] = line, value
    if unmatched:
        (line, clip), count = unmatched[0], len(unmatched)
        others = f" ({count} such rows)" if count > 1 else ""
        raise UserError(
            f"{path}: line {line}: there is no clip {clip!r}{closest(clip, list(known.values()))}"
            f"{others}; expected a path in the folder of clips, such as CLASS/NAME.mp4"
        )
    return found


def _rows(path: Path, column: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, clip and value of every row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            separator = max(",;\t", key=first.count)
            rows = csv.DictReader(file, strict=True, delimiter=separator)
            if not {"clip", column} <= set(rows.fieldnames or ()):
                raise UserError(f"{path}: expected a first row with columns clip and {column}")
            for row in rows:
                yield rows.line_num, row["clip"] or "", row[column] or ""
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a csv file in UTF-8 ({error})") from error


def _by_name(path: Path, clips: Sequence[str]) -> dict[str, str]:
    """The clips by their name in the form in which rows are compared."""
    known: dict[str, str] = {}
    for clip in clips:
        other = known.setdefault(_name(clip), clip)
        if other != clip:
            raise UserError(
                f"{path}: the clips {other!r} and {clip!r} have the same name in Unicode's NFC "
                "form; rename one"
            )
    return known


def _name(clip: str) -> str:
    return nfc(clip.replace("\\", "/")).removeprefix("./")
