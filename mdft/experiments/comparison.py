"""Compare MDFT with all other systems on equal inputs: trials, final runs, report."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rich.console import Console

from mdft.config.data import DRAWN, Compared, DataConfig
from mdft.config.train import TrainConfig
from mdft.data.sources import load_clips
from mdft.data.stages import STAGES
from mdft.errors import UserError, require, unknown
from mdft.experiments.ablations import changed
from mdft.experiments.compare_figure import write_comparison_figure
from mdft.experiments.compare_report import Entry, comparison_report
from mdft.experiments.compare_rows import PARTS, ROWS, SEQUENCES, rows_with, system_of
from mdft.experiments.compare_space import Choice, Trial, choice_json, choose, trials
from mdft.experiments.record import Record
from mdft.experiments.sweep import PROCESSES, Outcome, Row, plan, sweep
from mdft.experiments.worker import Job
from mdft.files import write_atomic
from mdft.systems.build import OURS, build
from mdft.training.run import fit

#: Inputs → their name in the names of folders.
SHORT: dict[Compared, str] = {
    "features+events": "events",
    "features": "features",
    "whitened-features": "whitened",
}


def with_inputs(config: TrainConfig, row: str, inputs: Compared) -> TrainConfig:
    """The configuration of a row's system that is given these inputs.

    MDFT computes E_v from the features if features are all it is given; a baseline with events has
    them beside its visual features. Baselines that average their inputs are given averages, and a
    token of TCaF is a second with its event bins.
    """
    system = system_of(row)
    config = changed(config, {"system": system, **PARTS.get(row, {})})
    if inputs == "whitened-features":
        config, inputs = changed(config, {"data.whiten": True}), "features"
    if system == "tcaf" and inputs == "features+events":
        config = changed(config, {"baseline.tcaf.bins": _bins(config.data)})
    if system != OURS:
        average = row not in SEQUENCES
        return changed(config, {"data.inputs": inputs, "data.average": average})
    return changed(config, {"data.events": "feature"}) if inputs == "features" else config


def _bins(data: DataConfig) -> int:
    """Event bins of a second; 1, so that each bin is a token, where only the files know them."""
    if data.events == "feature" or data.source == "files":
        return 1
    return (data.extract if data.source == "folder" else data.drawn).bins_per_second


def variant_of(config: TrainConfig, recipe: TrainConfig) -> str:
    """The flags of the systems that differ from a recipe: ``--model.motion.network mlp``.

    A flag of baselines is named once, without its values: ``--baseline.NAME.batch-size``.
    """

    def flags(own: Any, other: Any, name: str) -> Iterator[str]:
        if is_dataclass(own):
            for f in fields(own):
                flag = f"{name}.{f.name.replace('_', '-')}"
                yield from flags(getattr(own, f.name), getattr(other, f.name), flag)
        elif own != other:
            yield f"{name} {own}"

    pairs = {"--model": (config.model, recipe.model), "--loss": (config.loss, recipe.loss)}
    found = [f for name, (own, other) in pairs.items() for f in flags(own, other, name)]
    for f in fields(config.baseline):
        own, other = (getattr(each.baseline, f.name) for each in (config, recipe))
        found += [flag.split()[0] for flag in flags(own, other, "--baseline.NAME")]
    return " ".join(dict.fromkeys(found))


def with_data_seed(config: TrainConfig, seed: int) -> TrainConfig:
    """The configuration on the benchmark that this seed renders, added to the recipe's."""
    if not seed:
        return config
    field = "order" if config.data.source == "order" else "rendered"
    return changed(config, {f"data.{field}.seed": config.data.drawn.seed + seed})


@dataclass(frozen=True)
class Comparison:
    """The runs of a comparison.

    A trial is a run on the first data seed with training seed 0; the chosen one of a system is
    trained on every data seed with every training seed.

    Attributes:
        config: the recipe.
        inputs: the inputs to compare on.
        systems: the systems, in the order of the table.
        trials: number of trials of each system.
        data_seeds: number of benchmarks, rendered with consecutive seeds.
        seeds: number of training seeds.
        out: folder of the runs.
        record: the finished runs.
    """

    config: TrainConfig
    inputs: Sequence[Compared]
    systems: Sequence[str]
    trials: int
    data_seeds: int
    seeds: int
    out: Path
    record: Record

    def check(self) -> None:
        """Raise a UserError if the comparison cannot be run, or would mix settings in its report.

        The report contains the finished runs of every system, so that those of systems that are not
        asked for are checked too, and for every trial that may be chosen.
        """
        require(self.seeds >= 1, "--seeds", self.seeds, "at least 1")
        distinct = 0 < len(set(self.inputs)) == len(self.inputs)
        given = " ".join(self.inputs) or "none"
        require(distinct, "--compare-inputs", given, "at least one, each of them once")
        rendered = self.config.data.source in DRAWN
        require(self.data_seeds >= 1, "--data-seeds", self.data_seeds, "at least 1")
        require(
            rendered or self.data_seeds == 1,
            "--data-seeds",
            self.data_seeds,
            f"1 with --data.source {self.config.data.source}, which is not rendered",
        )
        named = not self.config.data.whiten or set(self.inputs) == {"whitened-features"}
        expected = "off, by --data.no-whiten, or --compare-inputs whitened-features alone"
        require(named, "--data.whiten", "on", expected)
        some = not self.systems or any(self._all())
        found = f"{' '.join(self.systems)} with --compare-inputs {given}"
        require(some, "--only", found, "--compare-inputs features+events")
        for inputs in self.inputs:
            for name in rows_with(inputs):
                rows = [row for t in self.tried(inputs, name) for row in self._final(t)]
                for job in plan(rows, range(self.seeds), self.out):
                    self.record.find(job)

    def tried(self, inputs: Compared, system: str) -> list[Trial]:
        """The trials of a system on some inputs."""
        config = with_inputs(self.config, system, inputs)
        found = trials(config, system, self.trials)
        return [
            replace(t, row=Row(f"{SHORT[inputs]}-{t.row.name}-data0", t.row.config)) for t in found
        ]

    def rows(self, inputs: Compared, system: str) -> list[Row]:
        """The final rows of a system, one for each data seed.

        None while there are several trials and none of them is finished.
        """
        tried, choice = self.tried(inputs, system), self.choice(inputs, system)
        if choice is None and len(tried) > 1:
            return []
        return self._final(choice.trial if choice else tried[0])

    def _final(self, trial: Trial) -> list[Row]:
        """The rows of a trial, one for each data seed; the first is the trial's own."""
        name = trial.row.name.removesuffix("-data0")
        return [
            Row(f"{name}-data{seed}", with_data_seed(trial.row.config, seed))
            for seed in range(self.data_seeds)
        ]

    def choice(self, inputs: Compared, system: str) -> Choice | None:
        """The best trial of a system; None if none is finished."""
        tried = self.tried(inputs, system)
        jobs = plan([t.row for t in tried], (0,), self.out)
        return choose(tried, {run.row: run for run in map(self.record.find, jobs) if run})

    def tune(self, at_once: int, console: Console, engine: str = PROCESSES) -> Outcome:
        """Run the trials, and write ``tuned.json``; arguments of :func:`sweep`."""
        rows = [t.row for i, name in self._all() for t in self.tried(i, name)]
        jobs = plan(rows, (0,), self.out)
        outcome = self._sweep(jobs, at_once, console, engine)
        content: dict[str, dict[str, object]] = {}
        for inputs, name in self._all():
            if choice := self.choice(inputs, name):
                found = choice_json(choice, self.tried(inputs, name))
                content.setdefault(inputs, {})[name] = found
        text = json.dumps(content, indent=2) + "\n"
        write_atomic(self.out / "tuned.json", text.encode())
        return outcome

    def run(self, at_once: int, console: Console, engine: str = PROCESSES) -> Outcome:
        """Train the chosen trials; arguments of :func:`sweep`.

        A system none of whose trials is finished is among the failures.
        """
        rows, failures = [], []
        for inputs, name in self._all():
            found = self.rows(inputs, name)
            rows += found
            if not found:
                count = self.data_seeds * self.seeds
                failures.append(f"{SHORT[inputs]}-{name}: no trial is finished, {count} runs left")
        if not rows:
            return Outcome({}, failures)
        outcome = self._sweep(plan(rows, range(self.seeds), self.out), at_once, console, engine)
        return replace(outcome, failures=[*outcome.failures, *failures])

    def _sweep(self, jobs: Sequence[Job], at_once: int, console: Console, engine: str) -> Outcome:
        """Run the jobs that the record lacks; record what is finished, if interrupted too."""
        waiting = [job for job in jobs if not self.record.find(job)]
        known = [job for job in self._reported() if job not in waiting]
        try:
            outcome = sweep(
                waiting, self.out, at_once=at_once, console=console, engine=engine, known=known
            )
        except UserError:  # refused: the finished runs may be of other data than there is now
            raise
        except BaseException:
            with suppress(Exception):  # what ended the sweep is what the user must see
                self.record.keep(self._reported())
            raise
        self.record.keep(self._reported())
        return outcome

    def _reported(self) -> list[Job]:
        """All runs of all systems, of which the report has those that are finished."""
        return [job for i in self.inputs for name in rows_with(i) for job in self.jobs(i, name)]

    def jobs(self, inputs: Compared, system: str) -> list[Job]:
        """All runs of a system on some inputs: the trials, then those of the chosen one."""
        tried = plan([t.row for t in self.tried(inputs, system)], (0,), self.out)
        final = plan(self.rows(inputs, system), range(self.seeds), self.out)
        return list(dict.fromkeys([*tried, *final]))

    def blocks(self) -> dict[Compared, dict[str, Entry]]:
        """Inputs → entries of the systems compared, of MDFT, and of all that have finished runs."""
        every: dict[Compared, dict[str, Entry]] = {i: self.entries(i) for i in self.inputs}
        found = {name for entries in every.values() for name in entries if entries[name].runs}
        kept = {*self.systems, OURS, *found}
        return {i: {n: x for n, x in each.items() if n in kept} for i, each in every.items()}

    def entries(self, inputs: Compared) -> dict[str, Entry]:
        """System → its finished runs on some inputs, and its number of trained parameters."""
        entries = {}
        for name in rows_with(inputs):
            choice, runs = self.choice(inputs, name), {}
            for data_seed, row in enumerate(self.rows(inputs, name)):
                for job in plan([row], range(self.seeds), self.out):
                    if run := self.record.find(job):
                        runs[data_seed, run.seed] = run
            config = (choice.trial if choice else self.tried(inputs, name)[0]).row.config
            system = build(config)
            count = sum(p.numel() for p in system.parameters()) if system.descends else 0
            entries[name] = Entry(runs, count, choice)
        return entries

    def hours(self, at_once: int) -> float:
        """Estimated wall-clock hours of all unfinished runs, if none stops early.

        One epoch of each system is timed, with the loading of its clips. A system that fails has no
        part in the estimate; :meth:`run` reports it.
        """
        seconds = 0.0
        for inputs, name in self._all():
            left = sum(not self.record.find(job) for job in self.jobs(inputs, name))
            if not self.rows(inputs, name):  # its final runs are not known yet
                left += self.data_seeds * self.seeds - 1
            if left:
                with suppress(Exception):
                    seconds += left * _seconds(self.tried(inputs, name)[0].row.config)
        return seconds / at_once / 3600

    def most_steps(self) -> str:
        """The largest number of optimiser steps in each stage, which is the same for all systems.

        Systems in closed form have none.
        """
        splits = load_clips(self.config.data).splits
        each = [self.config.steps_per_epoch(len(splits[stage.train])) for stage in STAGES]
        return " and ".join(str(steps * self.config.epochs) for steps in each)

    def _all(self) -> Iterator[tuple[Compared, str]]:
        for inputs in self.inputs:
            for name in self.systems:
                if name in rows_with(inputs):
                    yield inputs, name


@lru_cache
def _seconds(config: TrainConfig) -> float:
    """Estimated seconds of a run, from the first epoch of stage 1, or its strengths."""
    short = replace(config, epochs=1, patience=None)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        fit(short, Path(folder) / "run", only_choose=True)
        whole = 2 * config.most_epochs / short.most_epochs
        return whole * (time.perf_counter() - begin)


def chosen_systems(only: Sequence[str]) -> list[str]:
    """The systems to run, in the order of the table.

    Args:
        only: requested names; empty: all.

    Raises:
        UserError: a system is unknown.
    """
    for name in only:
        if name not in ROWS:
            raise unknown("--only", name, ROWS)
    return [name for name in ROWS if name in only or not only]


def write_comparison(
    path: Path,
    blocks: Mapping[Compared, Mapping[str, Entry]],
    texts: Mapping[str, str],
    measured: Mapping[str, str],
    variant: str = "",
    events: str = "pixel",
) -> None:
    """Write the report, and its figure if there are systems to compare; keep hand-written text.

    Args:
        path: path of the report.
        blocks: inputs → system → its entry.
        texts: key of ``KEYS`` → hand-written text.
        measured: the result of :func:`mdft.experiments.report.facts`.
        variant: the result of :func:`variant_of`.
        events: ``pixel`` or ``feature``, the source of E_v.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = path.with_suffix(".svg")
    drawn = len({name for entries in blocks.values() for name in entries if entries[name].runs}) > 1
    if drawn:
        write_comparison_figure(figure, blocks)
    link = figure.name if drawn else None
    text = comparison_report(blocks, texts, measured, link, variant, events)
    write_atomic(path, text.encode())
