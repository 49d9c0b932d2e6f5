"""The gallery page, from the template `gallery.html`; a single file that loads nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mdft.errors import printable
from mdft.files import write_atomic
from mdft.inference.gallery import TOP, Entry
from mdft.templates import environment

MODALITIES = ("both", "audio", "visual")


@dataclass(frozen=True)
class Confusion:
    """How often clips of one class were given another.

    Attributes:
        truths: classes of the clips, sorted.
        guesses: classes that were given, those of ``truths`` first.
        counts: a row per truth, a column per guess.
    """

    truths: Sequence[str]
    guesses: Sequence[str]
    counts: Sequence[Sequence[int]]


def final(entry: Entry) -> Sequence[tuple[str, float]]:
    """The labels of all modalities together, or of the only one."""
    return next(entry.labels[m] for m in MODALITIES if m in entry.labels)


def right(entries: Sequence[Entry], modality: str, top: int) -> tuple[int, int]:
    """Number of clips whose class is among the best labels of a modality, and of all such clips."""
    ranked = [
        (e.truth, e.labels[modality][:top]) for e in entries if e.truth and modality in e.labels
    ]
    return sum(truth in (name for name, _ in labels) for truth, labels in ranked), len(ranked)


def confusion(entries: Sequence[Entry]) -> Confusion:
    """The confusion matrix of the clips whose class is known."""
    pairs = [(e.truth, final(e)[0][0]) for e in entries if e.truth]
    truths = sorted({truth for truth, _ in pairs})
    guesses = truths + sorted({guess for _, guess in pairs} - set(truths))
    return Confusion(truths, guesses, [[pairs.count((t, g)) for g in guesses] for t in truths])


def write_gallery(
    path: Path,
    title: str,
    names: Sequence[str],
    entries: Sequence[Entry],
    failed: Sequence[str] = (),
) -> None:
    """Write the page atomically.

    Args:
        path: path of the HTML file.
        title: heading of the page.
        names: the candidates.
        entries: the clips.
        failed: messages of the clips that could not be read.
    """
    write_atomic(path, render(title, names, entries, failed).encode())


def render(
    title: str, names: Sequence[str], entries: Sequence[Entry], failed: Sequence[str] = ()
) -> str:
    """The HTML of the page; every text in it is escaped."""
    known = [entry for entry in entries if entry.truth]
    scores = [
        (modality, right(entries, modality, 1), right(entries, modality, TOP))
        for modality in MODALITIES
        if right(entries, modality, 1)[1]
    ]
    return (
        environment("mdft.inference")
        .get_template("gallery.html")
        .render(
            title=printable(title),
            names=names,
            entries=entries,
            failed=[printable(message) for message in failed],
            scores=scores,
            matrix=confusion(known) if len(known) > 1 else None,
            final=final,
            modalities=MODALITIES,
            top=TOP,
        )
    )
