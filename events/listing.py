"""Find the video files under a folder; every other file is counted, so that none is lost unseen."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mdft.errors import UserError, printable

#: Endings of video files: containers, and raw streams of one codec.
CLIPS = frozenset(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "qt", "3gp", "3g2", "f4v", "mj2"),
        *("mkv", "webm", "avi", "divx", "flv", "ogv", "ogm", "asf", "wmv", "gif", "apng"),
        *("mpg", "mpeg", "vob", "mod", "tod", "ts", "mts", "m2ts", "m2t"),
        *("m1v", "m2v", "mpv", "h264", "264", "avc", "h265", "265", "hevc", "ivf", "y4m"),
    )
)
_NAMED = 6


@dataclass(frozen=True)
class Listing:
    """The files under a folder.

    Attributes:
        folder: the folder.
        found: the wanted files, sorted.
        passed_over: all other files, sorted.
    """

    folder: Path
    found: list[Path]
    passed_over: list[Path]

    def note(self) -> str:
        """One line that counts the files that were passed over by ending; empty if there are none.

        >>> Listing(Path("a"), [], [Path("a/b.txt"), Path("a/.DS_Store"), Path("a/c.txt")]).note()
        'note: 3 files passed over: 2 .txt, 1 hidden'
        """
        if not self.passed_over:
            return ""
        kinds = Counter(_kind(path.relative_to(self.folder)) for path in self.passed_over)
        by_count = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
        listed = [f"{n} {printable(kind)}" for kind, n in by_count[:_NAMED]]
        others = sum(n for _, n in by_count[_NAMED:])
        count = len(self.passed_over)
        files = "1 file" if count == 1 else f"{count} files"
        return (
            f"note: {files} passed over: {', '.join(listed + [f'{others} others'] * (others > 0))}"
        )

    def empty_folders(self, depth: int = 1) -> str:
        """One line that names the folders in which nothing was found; empty if there are none.

        Args:
            depth: 1 for the subfolders of the folder, 2 for theirs.
        """
        met = {path.relative_to(self.folder).parts[:depth] for path in self.found}
        inside = (path for path in self.folder.glob("/".join("*" * depth)) if path.is_dir())
        names = (path.relative_to(self.folder) for path in inside)
        empty = sorted(name.as_posix() for name in names if name.parts not in met)
        empty = [name for name in empty if not is_hidden(Path(name))]
        return f"note: nothing was found in {name_some(empty)}" if empty else ""


def name_some(names: Sequence[str]) -> str:
    """The first six names, and how many others there are.

    >>> name_some(["left", "right"])
    "'left', 'right'"
    >>> name_some(list("abcdefgh"))
    "'a', 'b', 'c', 'd', 'e', 'f' and 2 others"
    """
    named = ", ".join(f"'{printable(name)}'" for name in names[:_NAMED])
    others = len(names) - _NAMED
    return f"{named} and {others} others" if others > 0 else named


def is_clip(path: Path) -> bool:
    """Whether the ending of a file is one of ``CLIPS``."""
    return path.suffix.lower() in CLIPS


def list_files(folder: Path, wanted: Callable[[Path], bool] = is_clip) -> Listing:
    """Find the files under a folder; links to folders are followed.

    A file whose name, or the name of whose folder, begins with a dot is hidden (macOS writes
    ``._clip.mp4`` beside ``clip.mp4``). A wanted name that is not a regular file, such as a broken
    link, is among the found ones, so that reading it fails by name.

    Args:
        folder: an existing folder.
        wanted: whether a file that is not hidden is wanted.

    Raises:
        UserError: a folder cannot be listed, or a link leads to a folder that contains it.
    """
    found: list[Path] = []
    passed_over: list[Path] = []
    for name, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        here = Path(name)
        for link in (here / sub for sub in folders if (here / sub).is_symlink()):
            target, above = link.resolve(), [here, *here.parents]
            if any(parent.resolve().is_relative_to(target) for parent in above):
                raise UserError(
                    f"{link}: is a link to {target}, a folder above it; remove the link"
                )
        for path in map(here.joinpath, files):
            listed = not is_hidden(path.relative_to(folder)) and wanted(path)
            (found if listed else passed_over).append(path)
    return Listing(folder, sorted(found), sorted(passed_over))


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: the folder cannot be listed ({error.strerror})") from error


def is_hidden(path: Path) -> bool:
    """Whether a name of the path, relative to the listed folder, begins with a dot."""
    return any(part.startswith(".") for part in path.parts)


def _kind(path: Path) -> str:
    if is_hidden(path):
        return "hidden"
    return path.suffix.lower() or "without an ending"
