"""``python -m mdft.experiments.spikes``: the runs and the probes of docs/spikes.md.

Trains variants of MDFT, and baselines, on stage 1 alone and prints their validation scores; with
``--probe`` also what a linear map recovers after each box, with ``--theta`` the scores with changed
thresholds. No test split is scored.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from mdft.cli import parse, run_main
from mdft.config.recipes import RECIPES
from mdft.config.train import TrainConfig
from mdft.errors import UserError, unknown

BENCHMARKS = ("embedded", "order")


@dataclass(frozen=True)
class Command:
    """Train variants on stage 1 and append their validation scores to a log."""

    recipe: Annotated[str, tyro.conf.Positional]
    """The benchmark: embedded or order."""
    set: tuple[str, ...] = ()
    """Variants, each a comma-separated list of FIELD=VALUE with JSON values, such as
    motion.beta=0.875 of the model, or baseline:gru; an empty string is the recipe as it is."""
    seeds: tuple[int, ...] = (0,)
    """Training seeds."""
    epochs: int = 24
    """Epochs of stage 1."""
    probe: bool = False
    """Print the table of probes, before and after training."""
    theta: bool = False
    """Print the scores with changed thresholds, after training."""
    cache: Path | None = None
    """Folder of the rendered clips, as in --data.cache."""
    log: Path = Path("runs/spikes.jsonl")
    """The log, one JSON object a run."""


def main(command: Command) -> int:
    """Run the command; return 0.

    Raises:
        UserError: the recipe or a setting is unknown.
    """
    if command.recipe not in BENCHMARKS:
        raise unknown("RECIPE", command.recipe, BENCHMARKS)
    from mdft.data.sources import load_clips
    from mdft.experiments import boxes, thresholds
    from mdft.model.mdft import MDFT
    from mdft.systems.mdft import MDFTSystem
    from mdft.training.trainer import Trainer

    command.log.parent.mkdir(parents=True, exist_ok=True)
    for text in command.set or ("",):
        for seed in command.seeds:
            config = variant(command, text, seed)
            clips = load_clips(config.data)
            with tempfile.TemporaryDirectory() as folder:
                trainer = Trainer(config, clips, Path(folder), lambda record: None)
                before: dict[str, Any] = {}
                if command.probe and config.system == "mdft":
                    before = boxes.probe(untrained(config, clips), clips)
                start = time.process_time()
                progress = trainer.choose()
            seconds = time.process_time() - start
            curve = [record["val"] for record in progress.metrics]
            best = curve[progress.best_epoch]
            last = curve[-max(1, len(curve) // 4) :]
            record = {
                "recipe": command.recipe,
                "set": text,
                "seed": seed,
                "epochs": command.epochs,
                "hm": best["hm"],
                "zsl": best["zsl"],
                "seen": best["seen"],
                "unseen": best["unseen"],
                "beta": best["beta"],
                "epoch": progress.best_epoch + 1,
                "hm_last_quarter": sum(v["hm"] for v in last) / len(last),
                "zsl_last_quarter": sum(v["zsl"] for v in last) / len(last),
                "loss": progress.metrics[-1]["loss"].get("total"),
                "rates": progress.metrics[-1].get("firing_rates"),
                "cpu_seconds": seconds,
                "curve": [round(100 * v["hm"]) for v in curve],
            }
            if command.probe and isinstance(trainer.model, MDFT):
                after = {**boxes.probe(trainer.model, clips), **boxes.own(trainer.model, clips)}
                record["probes"] = {
                    name: [
                        *([before[name].hm, before[name].zsl] if name in before else [None, None]),
                        scores.hm,
                        scores.zsl,
                    ]
                    for name, scores in after.items()
                }
                print(table(record["probes"]))
            model = trainer.model
            if command.theta and isinstance(model, MDFTSystem) and model.spiking:
                changes = thresholds.with_changes(model, clips)
                record["thetas"] = {c: [s.hm, s.zsl, share] for c, (s, share) in changes.items()}
                print(theta_table(record["thetas"]))
            with command.log.open("a") as log:
                log.write(json.dumps(record) + "\n")
            print(
                f"{command.recipe} [{text}] seed {seed}, {command.epochs} epochs: HM "
                f"{100 * best['hm']:.1f} ZSL {100 * best['zsl']:.1f} S {100 * best['seen']:.1f} U "
                f"{100 * best['unseen']:.1f} beta {best['beta']:.1f} epoch "
                f"{progress.best_epoch + 1}; last quarter HM {100 * record['hm_last_quarter']:.1f} "
                f"ZSL {100 * record['zsl_last_quarter']:.1f}; {seconds:.0f} s; "
                f"curve {record['curve'][:: max(1, len(curve) // 8)]}",
                flush=True,
            )
    return 0


def variant(command: Command, text: str, seed: int) -> TrainConfig:
    """The configuration of one variant.

    Raises:
        UserError: a setting has no ``=``, or its value is not JSON.
    """
    from mdft.experiments.ablations import changed

    config = replace(RECIPES[command.recipe](), epochs=command.epochs, seed=seed)
    config = replace(config, data=replace(config.data, cache=command.cache))
    for setting in filter(None, text.split(",")):
        if setting.startswith("baseline:"):
            data = replace(config.data, inputs="features+events")
            config = replace(config, system=setting.removeprefix("baseline:"), data=data)  # type: ignore[arg-type]
            continue
        name, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set {text}: found {setting!r}, expected FIELD=VALUE")
        own = name.partition(".")[0] in {field.name for field in fields(config.model)}
        name = f"model.{name}" if own else name
        try:
            config = changed(config, {name: json.loads(value)})
        except json.JSONDecodeError:
            config = changed(config, {name: value})
    return config


def untrained(config: TrainConfig, clips: Any) -> Any:
    """The calibrated model before its first step."""
    import torch

    from mdft.systems.build import build

    torch.manual_seed(2 * config.seed)
    model = build(config)
    model.calibrate(clips.batch(clips.splits["stage_1_train"][:: len(clips) // 64 + 1]))
    return model


def table(probes: dict[str, list[float | None]]) -> str:
    """The table of probes in Markdown."""
    lines = [
        "| box | HM, untrained | ZSL | HM, trained | ZSL |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, values in probes.items():
        cells = ["" if v is None else f"{100 * v:.1f}" for v in values]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def theta_table(changes: dict[str, list[float]]) -> str:
    """The table of changed thresholds in Markdown."""
    from mdft.experiments.thresholds import TITLES

    lines = ["| θ | HM | ZSL | spikes changed |", "| --- | ---: | ---: | ---: |"]
    for change, values in changes.items():
        lines.append(f"| {TITLES[change]} | {' | '.join(f'{100 * v:.1f}' for v in values)} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_main(lambda: main(parse(Command, "python -m mdft.experiments.spikes")))
