"""The model card of a released run, written from the files of the run."""

from __future__ import annotations

from collections.abc import Sequence

from export.agreement import Agreement
from mdft.config.train import TrainConfig
from mdft.runs.folder import Results

_TEXT = """\
# Model card

MDFT, trained on the embedded benchmark of this package: {classes} rendered classes of moving,
sounding objects. Use it to try the package, to test simulators and NIR readers, and as a
starting point for `--init`. It was not trained on real videos.

| | |
|---|---|
| made by | `make release`, one thread |
| data | {data} |
| model | {dim} wide, {heads} heads, {layers} spiking layers per pathway, {space} |
| training | {training} |
| size | {bytes:,} bytes, graphs and probe included |
| licence | MIT |

## Scores

Mean per-class recall on the test clips, per cent, for one seed. Scores of other seeds differ by
some points (docs/ablations.md in the repository reports three seeds).

| S | U | HM | ZSL | classes to choose from |
|---:|---:|---:|---:|---|
| {scores} |

## Firing rates

Spikes per neuron and step on the test clips, per cent. A dead neuron fires on none of them.

| layer | rate | dead |
|---|---:|---:|
{rates}

## Parity

Spikes of the exported graphs on the probe's clips.

| level | compared | runtime | spikes | differing |
|---|---|---|---:|---:|
{parity}

A dash marks an arithmetic that differs from that of the training: the number is only reported, and
need not be 0.

## Limits

- The benchmark is rendered. The scores do not predict those on real recordings.
- The features come from a frozen network with random, seeded weights. Features of other clips must
  come from the same network (`python -m mdft.predict` uses it).
- The graphs were compared in simulators of Loihi, not on a chip.
"""


def model_card(config: TrainConfig, results: Results, rows: Sequence[Agreement], size: int) -> str:
    """The model card, in Markdown.

    Args:
        config: configuration of the run.
        results: its results on the test clips.
        rows: agreement of each simulator with the reference.
        size: size of the released files, in bytes.
    """
    model, drawn = config.model, config.data.rendered
    rates = (
        f"| {layer} | {100 * rate:.1f} | {results.dead_neurons[layer]} |"
        for layer, rate in results.firing_rates.items()
    )
    parity = (
        f"| {x.level} | {x.sides} | {x.runtime} | {x.compared:,} | {x.differing:,} |" for x in rows
    )
    shares = (results.seen, results.unseen, results.hm, results.zsl)
    choice = f"{results.candidates}, of them {results.candidates_unseen} unseen"
    scores = (*(f"{100 * x:.1f}" for x in shares), choice)
    return _TEXT.format(
        classes=results.candidates,
        data=f"rendered, seed {drawn.seed}; clips of {drawn.seconds} s, {drawn.size} × "
        f"{drawn.size} pixels, {drawn.bins_per_second} event bins per second",
        dim=model.dim,
        heads=model.heads,
        layers=model.motion.layers,
        space="space of the words" if model.space == "words" else f"joint space {model.joint}",
        training=f"Adam {config.learning_rate:g}, batches of {config.batch_size}, seed "
        f"{results.seed}; epoch {results.epoch + 1} of {config.epochs} and β {results.beta:g} "
        "chosen on validation classes",
        bytes=size,
        scores=" | ".join(scores),
        rates="\n".join(rates),
        parity="\n".join(parity),
    )
