"""``python -m mdft.predict RUN CLIP…``: name the class of video files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mdft.cli import parse, run_main
from mdft.config.features import FeatureConfig
from mdft.data.files.splits import read_lines
from mdft.data.video.backbones import make_backbone
from mdft.data.video.clip import features_of, read_clip
from mdft.errors import UserError, printable, require
from mdft.inference.candidates import Candidates, Guess, candidates
from mdft.inference.explain import explain
from mdft.inference.motion_backend import MotionBackend
from mdft.inference.page import write_page
from mdft.runs.load import load
from mdft.systems.interface import System


@dataclass(frozen=True)
class Command:
    """Name the class of video files with a trained run.

    Attributes:
        run: the run's folder, or the checkpoint file in it.
        clips: one video file or more.
        classes: file of class names to choose from, one a line; default: those of the run's test.
        vectors: file of word vectors (word2vec, GloVe, npz) for classes that the run does not
            know.
        top: how many classes to show.
        backbone: network of the features, for a run that does not say: frozen, selavi or
            torchvision:NAME.
        checkpoint: its weights, if they are no longer where they were in training.
        motion_backend: run the motion branch in a simulator: reference_float, lava_float,
            reference_int, lava_fixed or netx.
        explain: HTML page to write about one clip: what was seen, what spiked, what it is near
            to, and the answer without motion.
        json: print one line of JSON a clip and nothing else.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    clips: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")]
    classes: Path | None = None
    vectors: Path | None = None
    top: int = 5
    backbone: str | None = None
    checkpoint: Path | None = None
    motion_backend: str | None = None
    explain: Path | None = None
    json: bool = False


def main(command: Command) -> int:
    """The command line; 0, or 1 if a clip could not be read."""
    require(bool(command.clips), "CLIP", "missing", "at least one video file")
    require(command.top >= 1, "--top", command.top, "at least 1")
    if command.explain is not None:
        _check_page(command)
    model = load(command.run)
    context = model.context()
    names = None if command.classes is None else read_lines(command.classes)
    choice = candidates(context, names, command.vectors)
    features = context.features(command.backbone, command.checkpoint)
    backend = command.motion_backend and MotionBackend(model, command.motion_backend)
    console = Console(stderr=command.json)
    for note in (*choice.notes, make_backbone(features).note):
        if note:
            console.print(escape(note), soft_wrap=True, highlight=False)
    failed = 0
    for clip in command.clips:
        try:
            _one(command, clip, model, choice, features, backend or None, console)
        except UserError as error:
            print(f"error: {printable(error)}", file=sys.stderr)
            failed += 1
    if backend:
        differing, compared = backend.compared()
        line = f"motion in {command.motion_backend}: {differing} of {compared:,} spikes differ"
        console.print(f"{line} from PyTorch's", highlight=False)
    return 1 if failed else 0


def _one(
    command: Command,
    clip: Path,
    model: System,
    choice: Candidates,
    features: FeatureConfig,
    backend: MotionBackend | None,
    console: Console,
) -> None:
    """Name the class of one clip, and say it."""
    footage = read_clip(clip, features)
    batch = model.batch_of(features_of(clip, footage, make_backbone(features)))
    guesses = model.guesses(batch, choice, backend)
    if command.explain is not None:
        page = explain(model, batch, choice, footage, guesses)
        write_page(command.explain, printable(clip.name), page)
    if command.json:
        shown = [asdict(guess) for guess in guesses[: command.top]]
        print(json.dumps({"clip": str(clip), "guesses": shown, "remarks": footage.remarks}))
        return
    console.print(guess_table(printable(clip.name), guesses[: command.top], len(guesses)))
    for remark in footage.remarks:
        console.print(f"note: {escape(remark)}", soft_wrap=True, highlight=False)
    if command.explain is not None:
        console.print(f"page: {escape(str(command.explain))}", soft_wrap=True, highlight=False)


def guess_table(title: str, guesses: list[Guess], of: int) -> Table:
    """The nearest classes of a clip, best first.

    Args:
        title: name of the clip.
        guesses: to show.
        of: how many candidates there are.
    """
    table = Table(title=f"{escape(title)}, {of} classes to choose from", title_justify="left")
    table.add_column("", justify="right")
    table.add_column("class", style="bold", overflow="fold")
    table.add_column("in training")
    table.add_column("distance", justify="right")
    table.add_column("with β", justify="right", style="dim")
    for place, guess in enumerate(guesses, start=1):
        table.add_row(
            str(place),
            escape(guess.name),
            "seen" if guess.seen else "[green]unseen",
            f"{guess.distance:.3f}",
            f"{guess.calibrated:.3f}",
        )
    return table


def _check_page(command: Command) -> None:
    assert command.explain is not None
    require(len(command.clips) == 1, "--explain", f"{len(command.clips)} clips", "one clip")
    if command.explain.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--explain {command.explain}: expected a name in .html")
    if not command.explain.parent.is_dir():
        raise UserError(f"--explain {command.explain}: no folder {command.explain.parent}")


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.predict")))
