"""Per-class results of a run: ``per_class.csv`` and ``confusion.csv`` in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from mdft import gzsl
from mdft.files import csv_bytes, write_atomic
from mdft.training.evaluation import ScoredSplit

PER_CLASS, CONFUSION = "per_class.csv", "confusion.csv"
KINDS = ("unseen", "seen")


def write_tables(folder: Path, split: ScoredSplit, names: Sequence[str], beta: float) -> None:
    """Write both tables, one row per candidate class, in the order of class indices.

    ``per_class.csv``: ``class``, ``kind`` (seen or unseen), ``clips`` scored, ``gzsl_recall``
    among all candidates, ``zsl_recall`` among unseen candidates (empty for a seen class).
    The means of these columns over a kind are S, U and ZSL.

    ``confusion.csv``: ``class``, ``kind``, then a column for each candidate with the number of
    the row's clips that were predicted as that class. A row sums to its number of clips.

    Args:
        folder: the run's folder.
        split: the scored test clips.
        names: class names, by class index.
        beta: β, added to the distances of seen classes.

    Raises:
        UserError: as :func:`mdft.gzsl.scores`.
    """
    scores = gzsl.scores(split.distances, split.labels, split.seen, beta)
    called_N, _ = gzsl.predict(split.distances, split.seen, beta)
    counts_CC = gzsl.confusion(called_N, split.labels, len(split.seen)).tolist()
    candidates = [names[c] for c in split.classes]
    kinds = [KINDS[int(seen)] for seen in split.seen]
    rows = [
        (name, kind, sum(counts), scores.per_class[c], scores.zsl_per_class.get(c, ""))
        for c, (name, kind, counts) in enumerate(zip(candidates, kinds, counts_CC, strict=True))
    ]
    head = ("class", "kind", "clips", "gzsl_recall", "zsl_recall")
    write_atomic(folder / PER_CLASS, csv_bytes([head, *rows]))
    matrix = (
        (name, kind, *counts)
        for name, kind, counts in zip(candidates, kinds, counts_CC, strict=True)
    )
    write_atomic(folder / CONFUSION, csv_bytes([("class", "kind", *candidates), *matrix]))


def kinds_table(split: ScoredSplit, beta: float) -> Table:
    """Confusion of seen and unseen: per cent of each kind's clips predicted as each kind.

    Args:
        split: the scored test clips.
        beta: β, added to the distances of seen classes.
    """
    called_N, _ = gzsl.predict(split.distances, split.seen, beta)
    counts = gzsl.confusion(
        split.seen[called_N].astype(np.int64), split.seen[split.labels].astype(np.int64), 2
    )
    table = Table(title=f"Seen or unseen, % of clips at β = {beta:.1f}", title_justify="left")
    table.add_column("clips of", style="bold")
    for kind in reversed(KINDS):
        table.add_column(f"called {kind}", justify="right")
    for kind in reversed(range(2)):
        share = 100 * counts[kind] / counts[kind].sum()
        table.add_row(f"{KINDS[kind]} classes", *(f"{value:.1f}" for value in share[::-1]))
    return table
