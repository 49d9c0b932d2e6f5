"""What a released run is, in words and numbers that come from its own files."""

from __future__ import annotations

from collections.abc import Sequence

from export.agreement import Agreement
from mdft.config.train import TrainConfig
from mdft.runs.folder import Results

_TEXT = """\
# Model card

MDFT, trained on the embedded benchmark of this package: {classes} rendered classes of moving,
sounding objects. For trying things out, for tests of simulators and NIR readers, and as a start
for `--init`; it knows nothing of real videos.

| | |
|---|---|
| made by | `make release`, one thread |
| data | {data} |
| model | {dim} wide, {heads} heads, {layers} spiking layers a pathway, joint space {joint} |
| training | {training} |
| size | {bytes:,} bytes, graphs and probe included |
| licence | MIT |

## Scores

Mean per-class recall on the test, per cent, one seed; other seeds differ by some points
(docs/ablations.md in the repository has three).

| S | U | HM | ZSL | classes to choose from |
|---:|---:|---:|---:|---|
| {scores} |

## Firing rates

Per cent of neuron-steps on the test clips; dead neurons never fire there.

| layer | rate | dead |
|---|---:|---:|
{rates}

## Parity

Spikes of the exported graphs on the probe's clips.

| level | compared | runtime | spikes | differing |
|---|---|---|---:|---:|
{parity}

A dash: another arithmetic than the training's, reported and not required.

## Limits

- The benchmark is rendered. Scores say nothing of real recordings.
- Features of its clips come from a frozen, seeded network; other clips must go through the same
  one (`python -m mdft.predict` does that).
- Simulators of Loihi were compared, no chip.
"""


def model_card(config: TrainConfig, results: Results, rows: Sequence[Agreement], size: int) -> str:
    """The card, in Markdown.

    Args:
        config: of the run.
        results: of its test.
        rows: how far the simulators agree.
        size: of the released files, in bytes.
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
        f"{drawn.size} pixels, {drawn.bins_per_second} event bins a second",
        dim=model.dim,
        heads=model.heads,
        layers=model.motion.layers,
        joint=model.joint,
        training=f"Adam {config.learning_rate:g}, batches of {config.batch_size}, seed "
        f"{results.seed}; epoch {results.epoch + 1} of {config.epochs} and β {results.beta:g} "
        "chosen on validation classes",
        bytes=size,
        scores=" | ".join(scores),
        rates="\n".join(rates),
        parity="\n".join(parity),
    )
