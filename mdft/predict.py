"""``python -m mdft.predict RUN CLIP…``: predict the class of video files.

RUN is a trained run, or ``light`` or ``clip-clap``, which label clips among any class names without
training.
"""

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
from mdft.config.features import ZERO_SHOT, FeatureConfig
from mdft.errors import UserError, printable, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdft.data.video.clip import ClipFeatures
    from mdft.inference.candidates import Guess
    from mdft.inference.classifier import Classifier
    from mdft.inference.zero_shot import Labelled, ZeroShot

#: At most so many clips are predicted without the compiled kernels.
_FEW = 8


@dataclass(frozen=True)
class Command:
    """Predict the class of video files with a trained model, or without training.

    Attributes:
        run: folder of the trained run, or the checkpoint file in it; or light or clip-clap, which
            label clips without training, among the names in --classes.
        clips: video files, or folders of them, whose clips are read in parallel; a repeated call
            reads only new ones.
        classes: file of candidate class names, one per line; default: the test classes of the run.
        vectors: file of word vectors (word2vec, GloVe, npz): for class names that the run does not
            have; for light, in place of MiniLM.
        top: number of classes to print per clip.
        backbone: feature network, for a run that does not record it: frozen, selavi or
            torchvision:NAME.
        checkpoint: weights of the feature network, if the file was moved since training; for
            light: YAMNet's TFLite file.
        prompt: light and clip-clap: texts with {} in place of the name, such as "a video of {}";
            with several, the mean of their vectors is used.
        clip: clip-clap: name of a CLIP model on the Hugging Face hub, or a folder that holds one.
        clap: clip-clap: name of a CLAP model on the Hugging Face hub, or a folder that holds one.
        download: clip-clap: download models that are not in the hub's cache on this machine.
        explain: HTML page to write about one clip: its frames and events, the spikes, the nearest
            classes, and the prediction without motion; for light and clip-clap what each modality
            says.
        json: print one line of JSON per clip and nothing else.
        strict: refuse a clip with frames that cannot be decoded; otherwise they are skipped and
            counted, unless they are more than half.
        jobs: number of clips of a folder that are processed at a time; -1: one per CPU core.
        engine: for a folder: loky (processes), threading, sequential, or dask://HOST:PORT for a
            dask cluster whose workers can read the same folders.
        work: folder for what was read of a folder's clips; default: a folder in the cache.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    clips: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")]
    classes: Path | None = None
    vectors: Path | None = None
    top: int = 5
    backbone: str | None = None
    checkpoint: Path | None = None
    prompt: tuple[str, ...] | None = None
    clip: str = FeatureConfig.clip
    clap: str = FeatureConfig.clap
    download: bool = False
    explain: Path | None = None
    json: bool = False
    strict: bool = False
    jobs: int = -1
    engine: str = "loky"
    work: Path | None = None

    @property
    def feature_network(self) -> dict[str, Any]:
        """Arguments of :func:`mdft.load` that select the feature network."""
        return {"backbone": self.backbone, "checkpoint": self.checkpoint}

    @property
    def untrained(self) -> bool:
        """Whether RUN names a backbone that labels clips without training."""
        return str(self.run) in ZERO_SHOT and not self.run.exists()


def main(command: Command) -> int:
    """Run the command; return 0, 1 if a clip could not be read, or 2 if none could."""
    check(command)
    if command.untrained:
        return label_untrained(command)
    # Imported here, in this order: --help and a mistyped flag or folder need no torch.
    from events.video.isolated import reader_here
    from mdft.runs.folder import run_folder

    run_folder(command.run)
    reader_here().start()  # it imports its libraries while this process imports torch
    from mdft.inference.classifier import load

    classifier = load(command.run, **command.feature_network)
    if len(command.clips) <= _FEW and not any(path.is_dir() for path in command.clips):
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
    _check_flags(command)
    folders = [path for path in command.clips if path.is_dir()]
    if command.work is not None and len(folders) != 1:
        raise UserError(f"--work {command.work}: {len(folders)} folders of clips, expected one")
    page = command.explain
    if page is None:
        return
    if folders:
        raise UserError(
            f"--explain: {folders[0]} is a folder; name one clip, or make a page about all with "
            "`python -m mdft.gallery`"
        )
    require(len(command.clips) == 1, "--explain", f"{len(command.clips)} clips", "one clip")
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--explain {page}: expected a name in .html")
    if not page.parent.is_dir():
        raise UserError(f"--explain {page}: no folder {page.parent}")


def _check_flags(command: Command) -> None:
    """Refuse flags that RUN does not use."""
    if command.untrained:
        if command.backbone is not None:
            raise UserError(
                f"--backbone {command.backbone}: not used by {command.run}; leave it out"
            )
        if command.classes is None:
            raise UserError(
                f"--classes is missing: {command.run} labels clips among the names that it is "
                "given; name a file with one class name per line"
            )
        return
    for name in ("prompt", "clip", "clap", "download"):
        if getattr(command, name) != getattr(Command, name):
            raise UserError(
                f"--{name}: only {' and '.join(ZERO_SHOT)} use it, and RUN is {command.run}; "
                "leave it out"
            )


def label_untrained(command: Command) -> int:
    """Label every clip without training, and print the best classes.

    Args:
        command: the clips and the output options.

    Returns:
        The exit status: 0, 1 if a clip could not be read, or 2 if none could.

    Raises:
        UserError: the class names are invalid, or the backbone's weights are missing.
    """
    from events.video.isolated import reader_here

    if any(not path.is_dir() for path in command.clips):
        reader_here().start()  # it imports its libraries while this process imports torch
    from mdft.data.files.splits import read_lines
    from mdft.inference.zero_shot import PLAIN, zero_shot

    assert command.classes is not None
    config = FeatureConfig(
        backbone=str(command.run),
        checkpoint=command.checkpoint,
        clip=command.clip,
        clap=command.clap,
        download=command.download,
    )
    config.check()
    prompts = PLAIN if command.prompt is None else command.prompt
    labeller = zero_shot(config, read_lines(command.classes), prompts, command.vectors)
    console = Console(stderr=command.json)
    for note in labeller.notes:
        console.print(escape(note), soft_wrap=True, highlight=False)
    read = {True: 0, False: 0}
    for path, clip in clips_of(command, config, console):
        read[not isinstance(clip, UserError)] += 1
        if isinstance(clip, UserError):
            print(f"error: {printable(clip)}", file=sys.stderr)
            continue
        found = labeller.of_features(clip)
        _show_untrained(command, path, labeller, found, console)
        if command.explain is not None:
            # Imported here: the page needs jinja2, the sound's encoder and the images' library.
            from mdft.inference.gallery import entry_of
            from mdft.inference.gallery_page import write_gallery

            entry = entry_of(path.name, found, labeller.names, None)
            write_gallery(command.explain, printable(path.name), labeller.names, [entry])
            console.print(f"page: {escape(str(command.explain))}", soft_wrap=True, highlight=False)
    return _status(read)


def _status(read: Mapping[bool, int]) -> int:
    """The exit status, from the numbers of clips that were labelled (True) or not (False)."""
    return (1 if read[True] else 2) if read[False] else 0


def clips_of(
    command: Command, config: FeatureConfig, console: Console
) -> Iterator[tuple[Path, ClipFeatures | UserError]]:
    """Read the clips of a command: files one by one, a folder in parallel.

    Args:
        command: the clips.
        config: settings of the extraction.
        console: for notes about a folder.

    Yields:
        Each clip's path with its features, or with the reason why it could not be read.

    Raises:
        UserError: a folder has no clips, or the parallel work could not be started.
    """
    from mdft.data.video.clip import extract_clip

    for path in command.clips:
        if path.is_dir():
            from mdft.inference.reading import folder_clips, plan_reading

            reading = plan_reading(path, config, command.work, strict=command.strict)
            for note in reading.notes:
                console.print(escape(note), soft_wrap=True, highlight=False)
            yield from folder_clips(reading, command.engine, command.jobs)
            continue
        try:
            keep = command.explain is not None
            yield path, extract_clip(path, config, keep_footage=keep, strict=command.strict)
        except UserError as error:
            yield path, error


def _show_untrained(
    command: Command, path: Path, labeller: ZeroShot, found: Labelled, console: Console
) -> None:
    best = found.labels[: command.top]
    if command.json:
        labels = [{"name": b.name, "score": b.score, **b.parts} for b in best]
        heard = {m: list(evidence.heard) for m, evidence in found.evidence.items()}
        line = {"clip": str(path), "labels": labels, "concepts": heard, "remarks": found.remarks}
        print(json.dumps(line))
        return
    title = f"{printable(path.name)}, {len(labeller.names)} classes to choose from"
    table = Table(title=escape(title), title_justify="left")
    table.add_column("", justify="right")
    table.add_column("class", style="bold", overflow="fold")
    table.add_column("score", justify="right")
    for modality in found.evidence:
        table.add_column(modality, justify="right", style="dim")
    for place, guess in enumerate(best, start=1):
        parts = [f"{guess.parts[m]:.3f}" for m in found.evidence]
        table.add_row(str(place), escape(guess.name), f"{guess.score:.3f}", *parts)
    console.print(table)
    for modality, evidence in found.evidence.items():
        if evidence.heard:
            concepts = "; ".join(f"{escape(name)} {score:.2f}" for name, score in evidence.heard)
            console.print(f"{modality}: {concepts}", soft_wrap=True, highlight=False)
    for remark in found.remarks:
        console.print(f"note: {escape(remark)}", soft_wrap=True, highlight=False)


def label(command: Command, classifier: Classifier) -> int:
    """Print the nearest classes of every clip.

    A clip that cannot be read is reported on stderr; the other clips are still labelled.

    Args:
        command: the clips and the output options.
        classifier: the trained model.

    Returns:
        The exit status: 0, 1 if a clip could not be read, or 2 if none could.

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
    read = {True: 0, False: 0}
    for path, clip in clips_of(command, classifier.features, console):
        try:
            if isinstance(clip, UserError):
                raise clip
            guesses = classifier.predict(clip, choice)
            if command.explain is not None:
                # Imported here: matplotlib and jinja2 take half a second.
                from mdft.inference.explain import explain
                from mdft.inference.page import write_page

                page = explain(classifier, clip, choice, guesses)
                write_page(command.explain, printable(path.name), page)
        except UserError as error:
            print(f"error: {printable(error)}", file=sys.stderr)
            read[False] += 1
            continue
        read[True] += 1
        _show(command, path, clip, guesses, console)
    return _status(read)


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
