"""``python -m benchmarks.authors``: whole trainings of the authors' code, from a checkout.

Both stages and the test run by their scripts, with their published settings for UCF and SeLaVi's
features, on the files that ``python -m mdft.data.export`` writes:

    python -m benchmarks.authors avca AVCA-GZSL OUT --seeds 0 1 2
    python -m benchmarks.authors tcaf TCAF-GZSL OUT --features main_features_non_averaged_and_events
    python -m benchmarks.authors avmst ICME23_AVMST OUT --trainer AVCA-GZSL

OUT is of format avca for ``avca`` and ``avmst``, and of format tcaf for ``tcaf``. AVMST's
repository has no trainer; its model runs in AVCA's. The code is unchanged: it runs in a child
process (``authors_training_child.py``) with ``authors_shims.py`` for the CPU and for libraries that
have changed. The published 50 epochs of 500 (``tcaf``: 300) batches take hours on a CPU;
``--epochs`` and ``--batches`` reduce them. The scores are those that their evaluation prints.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks.checkouts import checked, failed
from mdft.data.export import FEATURES
from mdft.data.files.readers import read_averaged, read_seconds
from mdft.errors import UserError
from mdft.files import write_atomic

System = Literal["avca", "tcaf", "avmst"]
_CHILD = Path(__file__).with_name("authors_training_child.py")
_AVCA_SCRIPT = "run_scripts/UCF-GZSL/avca.sh"
_TCAF_SETTINGS = "config/best/best_main/best_ucf.yaml"
_SCORES = re.compile(
    r"Seen performance=([\d.]+), Unseen performance=([\d.]+), "
    r"GZSL performance=([\d.]+), ZSL performance=([\d.]+)"
)
_EPOCH = re.compile(r"Load from epoch: (\d+)")
_TRAINED = re.compile(r"TRAIN\s+Epoch: (\d+)/\d+\s+Iteration: (\d+)")


@dataclass(frozen=True)
class Options:
    """Whole trainings of the authors' code, both stages and their test.

    Attributes:
        system: the system.
        checkout: its checkout.
        root: the exported files.
        features: the set of features in ``root``; default: the one without events.
        trainer: avmst: a checkout of AVCA, whose trainer runs the model.
        seeds: their seeds; each is a whole training.
        epochs: epochs of each stage; default: as published.
        batches: batches of each epoch; default: as published.
        device: where.
        threads: threads of torch.
        python: an interpreter with the packages of the checkout.
        work: folder for their logs and weights, which must not exist; default: a temporary one.
        out: file of the results, JSON.
    """

    system: Annotated[System, tyro.conf.Positional]
    checkout: Annotated[Path, tyro.conf.Positional]
    root: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    features: str | None = None
    trainer: Path | None = None
    seeds: tuple[int, ...] = (0,)
    epochs: int | None = None
    batches: int | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    python: str = sys.executable
    work: Path | None = None
    out: Path = Path("authors.json")


@dataclass(frozen=True)
class Result:
    """One training, by their own evaluation; scores are shares, 0 to 1.

    Attributes:
        system: the system.
        features: the set of features.
        seed: their seed.
        seen: mean recall of the seen classes, S.
        unseen: that of the unseen classes, U.
        hm: harmonic mean of both.
        zsl: mean recall of the unseen classes among themselves.
        epoch: the epoch of stage 1 that they chose, from 1.
        batches: batches of an epoch.
        steps: optimiser steps of stage 1 and of stage 2.
        scored: steps of the scored weights, of stage 2.
        seconds: wall time of both stages and the test.
    """

    system: str
    features: str
    seed: int
    seen: float
    unseen: float
    hm: float
    zsl: float
    epoch: int
    batches: int
    steps: tuple[int, int]
    scored: int
    seconds: float


class Trainings:
    """Runs the trainings of one system; their files are in a folder of their own.

    Args:
        options: the settings.
        work: an empty folder, the working folder of their scripts.

    Raises:
        UserError: the checkout or the files are not as expected.
    """

    def __init__(self, options: Options, work: Path) -> None:
        self.options, self.work = options, work
        self.features = options.features or FEATURES["tcaf" if options.system == "tcaf" else "avca"]
        self.root = options.root.resolve()
        self.checkout, self.model = _checkouts(options)
        self.overrides = self._overrides()

    def run(self, seed: int) -> Result:
        """Train both stages and test.

        Raises:
            UserError: their code ended with an error; the message has its last line.
        """
        log, start = self.work / f"seed_{seed}.log", time.perf_counter()
        commands = self._tcaf(seed) if self.options.system == "tcaf" else self._avca(seed)
        for script, arguments in commands:
            self._call(script, arguments, log)
        return self._result(seed, log.read_text(errors="replace"), time.perf_counter() - start)

    def _overrides(self) -> list[str]:
        audio, video = _widths(self.root, self.features)
        if self.options.system == "avmst" and audio != video:
            raise UserError(
                f"avmst {self.options.checkout}: the features {self.features} are {audio} and "
                f"{video} wide, expected equal widths: its code gives the visual features to the "
                "spiking network of the audio"
            )
        found = ["--root_dir", str(self.root), "--dataset_name", "UCF"]
        found += ["--feature_extraction_method", self.features]
        found += ["--input_size_audio", str(audio), "--input_size_video", str(video)]
        found += ["--device", self.options.device]
        for flag, value in (
            ("--epochs", self.options.epochs),
            ("--n_batches", self.options.batches),
        ):
            found += [] if value is None else [flag, str(value)]
        return found

    def _avca(self, seed: int) -> Iterator[tuple[str, list[str]]]:
        """The three scripts of AVCA; of two equal flags argparse takes the later one."""
        first, second = _published(self.checkout / _AVCA_SCRIPT)
        names = [f"seed_{seed}_stage_{stage}" for stage in (1, 2)]
        for name, published in zip(names, (first, second), strict=True):
            own = ["--exp_name", name, "--dump_path", ".", "--seed", str(seed)]
            yield "main.py", [*published, *self.overrides, *own]
        paths = [f"runs/{name}" for name in names]
        folders = ["--load_path_stage_A", paths[0], "--load_path_stage_B", paths[1]]
        device = ["--device", self.options.device]
        yield "get_evaluation.py", [*folders, "--dataset_name", "UCF", "--AVCA", *device]

    def _tcaf(self, seed: int) -> Iterator[tuple[str, list[str]]]:
        """The script of TCaF, which runs both stages and the test."""
        settings = self.work / "config"  # their parser looks for its defaults in there
        if not settings.exists():
            settings.symlink_to(self.checkout / "config", target_is_directory=True)
        own = ["--cfg", _TCAF_SETTINGS, "--log_dir", f"seed_{seed}", "--run", "all"]
        yield "main.py", [*own, *self.overrides, "--seed", str(seed)]

    def _call(self, script: str, arguments: Sequence[str], log: Path) -> None:
        o = self.options
        model = self.model and str(self.model)
        settings = {"checkout": str(self.checkout), "model": model, "threads": o.threads}
        command = [o.python, str(_CHILD), json.dumps(settings), script, *arguments]
        environment = os.environ | {"OMP_NUM_THREADS": str(o.threads)}
        with log.open("ab") as file:
            done = subprocess.run(
                command,
                cwd=self.work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            raise failed(f"{o.system} {o.checkout}", log, script)

    def _result(self, seed: int, log: str, seconds: float) -> Result:
        scores, epochs = _SCORES.findall(log), _EPOCH.findall(log)
        steps = [int(iteration) + 1 for _, iteration in _TRAINED.findall(log)]
        if not scores or not epochs or not steps:
            o = self.options
            raise UserError(f"{o.system} {o.checkout}: its scripts printed no scores, see --work")
        seen, unseen, hm, zsl = (float(score) / 100 for score in scores[-1])
        second = steps.index(steps[0], 1)  # stage 2 counts from the first batch again
        epoch = int(epochs[0])
        return Result(
            self.options.system,
            self.features,
            seed,
            *(seen, unseen, hm, zsl),
            epoch=epoch,
            batches=steps[0],
            steps=(steps[second - 1], steps[-1]),
            scored=epoch * steps[0],
            seconds=seconds,
        )


def _checkouts(options: Options) -> tuple[Path, Path | None]:
    """The checkout with the scripts, and the file of the model if it is in another one."""
    if options.system == "tcaf":
        return checked("tcaf", options.checkout, "main.py", _TCAF_SETTINGS), None
    scripts = ("main.py", "get_evaluation.py", _AVCA_SCRIPT)
    if options.system == "avca":
        return checked("avca", options.checkout, *scripts), None
    if options.trainer is None:
        raise UserError("--trainer is missing: avmst has no trainer, give a checkout of AVCA")
    model = checked("avmst", options.checkout) / "src" / "model_improvements.py"
    return checked("avca", options.trainer, *scripts), model


def _published(script: Path) -> tuple[list[str], list[str]]:
    """The arguments of both stages with SeLaVi's features in AVCA's script."""
    lines = [shlex.split(line) for line in script.read_text().splitlines()]
    found = [line[2:] for line in lines if line[:2] == ["python", "main.py"]]
    found = [arguments for arguments in found if "main_features" in arguments]
    stages = [[a for a in found if ("--retrain_all" in a) is again] for again in (False, True)]
    if any(len(stage) != 1 for stage in stages):
        raise UserError(f"{script}: expected one line for each stage with main_features")
    return stages[0][0], stages[1][0]


def _widths(root: Path, features: str) -> tuple[int, int]:
    """Widths of the audio and of the visual features."""
    widths = []
    for kind in ("audio", "video"):
        folder = root / "features" / features / kind / "stage_1_train"
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        if not files:
            raise UserError(
                f"{folder}: no features there, expected those of python -m mdft.data.export"
            )
        read = read_averaged if files[0].suffix == ".h5" else read_seconds
        widths.append(read(files[0]).width)
    return widths[0], widths[1]


def main(options: Options) -> list[Result]:
    """Train once for each seed, and write the results after each.

    Raises:
        UserError: as :class:`Trainings` and :meth:`Trainings.run`, or ``work`` exists.
    """
    if options.work is not None:
        if options.work.exists():
            raise UserError(f"--work {options.work}: exists already; name a new folder")
        options.work.mkdir(parents=True)
        return _all(options, options.work.resolve())
    with tempfile.TemporaryDirectory() as work:
        return _all(options, Path(work))


def _all(options: Options, work: Path) -> list[Result]:
    trainings, results = Trainings(options, work), list[Result]()
    for seed in options.seeds:
        results.append(result := trainings.run(seed))
        content = json.dumps([asdict(each) for each in results], indent=2)
        write_atomic(options.out, f"{content}\n".encode())
        print(_line(result), flush=True)
    return results


def _line(result: Result) -> str:
    r = result
    scores = f"S {r.seen:.2%}, U {r.unseen:.2%}, HM {r.hm:.2%}, ZSL {r.zsl:.2%}"
    made = f"{r.scored} steps of {r.steps[1]} scored, {r.seconds:.0f} s"
    return f"{r.system}, {r.features}, seed {r.seed}: {scores}; {made}"


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
