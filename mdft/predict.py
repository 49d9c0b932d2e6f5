"""``python -m mdft.predict RUN CLIP…``: predict the class of video files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mdft.cli import parse, run_main
from mdft.errors import UserError, printable, require

if TYPE_CHECKING:
    from mdft.data.video.clip import ClipFeatures
    from mdft.inference.candidates import Guess
    from mdft.inference.classifier import Classifier

#: At most so many clips are predicted without the compiled kernels.
_FEW = 8


@dataclass(frozen=True)
class Command:
    """Predict the class of video files with a trained model.

    Attributes:
        run: folder of the trained run, or the checkpoint file in it.
        clips: one or more video files.
        classes: file of candidate class names, one per line; default: the test classes of the run.
        vectors: file of word vectors (word2vec, GloVe, npz) for class names that the run does not
            have.
        top: number of classes to print per clip.
        backbone: feature network, for a run that does not record it: frozen, selavi or
            torchvision:NAME.
        checkpoint: weights of the feature network, if the file was moved since training.
        explain: HTML page to write about one clip: its frames and events, the spikes, the nearest
            classes, and the prediction without motion.
        json: print one line of JSON per clip and nothing else.
        strict: refuse a clip with frames that cannot be decoded; otherwise they are skipped and
            counted, unless they are more than half.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    clips: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")]
    classes: Path | None = None
    vectors: Path | None = None
    top: int = 5
    backbone: str | None = None
    checkpoint: Path | None = None
    explain: Path | None = None
    json: bool = False
    strict: bool = False

    @property
    def feature_network(self) -> dict[str, Any]:
        """Arguments of :func:`mdft.load` that select the feature network."""
        return {"backbone": self.backbone, "checkpoint": self.checkpoint}


def main(command: Command) -> int:
    """Run the command; return 0, or 1 if a clip could not be read."""
    check(command)
    # Imported here, in this order: --help and a mistyped flag or folder need no torch.
    from events.video.isolated import reader_here
    from mdft.runs.folder import run_folder

    run_folder(command.run)
    reader_here().start()  # it imports its libraries while this process imports torch
    from mdft.inference.classifier import load

    classifier = load(command.run, **command.feature_network)
    if len(command.clips) <= _FEW:
        _without_kernels(classifier)
    return label(command, classifier)


def _without_kernels(classifier: Classifier) -> None:
    """Compute the motion branch, if there is one, by its plain loop: the same spikes and membranes.

    To load the compiled kernels takes a second, the loop 0.1 s for a clip of a minute.
    """
    from mdft.model.motion import MotionBranch

    for module in classifier.model.modules():
        if isinstance(module, MotionBranch):
            module.fused = False


def check(command: Command) -> None:
    """Check the flags before any file is read.

    Raises:
        UserError: an argument is missing or invalid.
    """
    require(bool(command.clips), "CLIP", "missing", "at least one video file")
    require(command.top >= 1, "--top", command.top, "at least 1")
    page = command.explain
    if page is None:
        return
    require(len(command.clips) == 1, "--explain", f"{len(command.clips)} clips", "one clip")
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--explain {page}: expected a name in .html")
    if not page.parent.is_dir():
        raise UserError(f"--explain {page}: no folder {page.parent}")


def label(command: Command, classifier: Classifier) -> int:
    """Print the nearest classes of every clip.

    A clip that cannot be read is reported on stderr; the other clips are still labelled.

    Args:
        command: the clips and the output options.
        classifier: the trained model.

    Returns:
        The exit status: 0, or 1 if a clip could not be read.

    Raises:
        UserError: the class names or the feature network do not fit the run.
    """
    from mdft.data.files.splits import read_lines
    from mdft.data.video.backbones import make_backbone

    names = None if command.classes is None else read_lines(command.classes)
    choice = classifier.candidates(names, command.vectors)
    console = Console(stderr=command.json)
    for note in (*choice.notes, make_backbone(classifier.features).note):
        if note:
            console.print(escape(note), soft_wrap=True, highlight=False)
    failed = 0
    for path in command.clips:
        try:
            clip = classifier.read(
                path, keep_footage=command.explain is not None, strict=command.strict
            )
            guesses = classifier.predict(clip, choice)
            if command.explain is not None:
                # Imported here: matplotlib and jinja2 take half a second.
                from mdft.inference.explain import explain
                from mdft.inference.page import write_page

                page = explain(classifier, clip, choice, guesses)
                write_page(command.explain, printable(path.name), page)
        except UserError as error:
            print(f"error: {printable(error)}", file=sys.stderr)
            failed += 1
            continue
        _show(command, path, clip, guesses, console)
    return 1 if failed else 0


def _show(
    command: Command, path: Path, clip: ClipFeatures, guesses: list[Guess], console: Console
) -> None:
    if command.json:
        nearest = [asdict(guess) for guess in guesses[: command.top]]
        print(json.dumps({"clip": str(path), "guesses": nearest, "remarks": clip.remarks}))
        return
    console.print(guess_table(printable(path.name), guesses[: command.top], len(guesses)))
    for remark in clip.remarks:
        console.print(f"note: {escape(remark)}", soft_wrap=True, highlight=False)
    if command.explain is not None:
        console.print(f"page: {escape(str(command.explain))}", soft_wrap=True, highlight=False)


def guess_table(title: str, guesses: list[Guess], of: int) -> Table:
    """The nearest classes of a clip, best first.

    Args:
        title: name of the clip.
        guesses: the classes to list.
        of: number of candidate classes.
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


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.predict")))
