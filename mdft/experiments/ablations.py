"""The ablations of the paper's Tables 2, 3, 4 and Figure 5, and of what is not in the paper.

Each is a change of a configuration. The numbers printed in the paper are for UCF-GZSL: S, U, HM,
ZSL in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from mdft.config.train import TrainConfig
from mdft.errors import UserError, unknown
from mdft.experiments.sweep import Row

T = TypeVar("T")


@dataclass(frozen=True)
class Ablation:
    """One row of a table.

    Attributes:
        name: name of the row's folder, and its name in ``--only``.
        label: the paper's name of the row.
        change: dotted field of the configuration → value.
        printed: S, U, HM and ZSL printed in the paper; None if it only draws a bar.
    """

    name: str
    label: str
    change: Mapping[str, Any] = field(default_factory=dict)
    printed: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Comparison:
    """One table of the paper.

    Attributes:
        key: name of its text block.
        title: title of the table.
        rows: the rows in the paper's order.
    """

    key: str
    title: str
    rows: tuple[Ablation, ...]


FULL = "full"
NETWORK, EVENTS = "model.motion.network", "model.motion.events"
MODE, THETA, INPUTS = "model.motion.threshold", "model.motion.theta_fixed", "model.modality"
L_N, L_P, L_R = "loss.triplet", "loss.projection", "loss.reconstruction"
VALUE, SOFTMAX = "model.motion.value", "loss.softmax"
# A ridge regression predicts words: it needs their space.
JOINT = {"model.space": "joint", "model.ridge": None}


def _full(label: str, zsl: float = 31.53) -> Ablation:
    return Ablation(FULL, label, {}, (48.79, 23.11, 31.36, zsl))


TABLE_2 = (
    Ablation("mlp", "MLP", {NETWORK: "mlp", EVENTS: False}, (52.28, 14.98, 23.29, 13.65)),
    Ablation("egm_mlp", "EGM+MLP", {NETWORK: "mlp"}, (46.52, 16.34, 24.19, 18.93)),
    Ablation("snn", "SNN", {EVENTS: False}, (45.29, 19.46, 27.23, 26.65)),
    _full("MDFT (EGM+SNN)"),
)
TABLE_3 = (
    Ablation("no_mim", "w/o MIM", {"model.motion.enabled": False}, (50.64, 17.74, 26.34, 22.78)),
    Ablation("no_rjlu", "w/o RJLU", {"model.rjlu": False}, (38.79, 20.11, 26.44, 23.14)),
    Ablation("no_crm", "w/o CRM", {"model.crm": False}, (44.72, 21.92, 29.44, 27.67)),
    _full("MDFT"),
)
# L_c in the paper's table is read as L_p, since its text defines no L_c.
TABLE_4 = (
    Ablation(
        "only_p", "only L_p (w/o L_n + L_r)", {L_N: False, L_R: False}, (28.71, 8.52, 13.14, 10.11)
    ),
    Ablation(
        "only_r", "only L_r (w/o L_n + L_c)", {L_N: False, L_P: False}, (34.17, 10.14, 15.64, 13.19)
    ),
    Ablation("no_n", "w/o L_n", {L_N: False}, (40.77, 16.79, 23.78, 16.98)),
    Ablation("no_r", "w/o L_r", {L_R: False}, (42.78, 16.96, 24.29, 19.82)),
    Ablation("no_p", "w/o L_p", {L_P: False}, (43.17, 19.27, 26.65, 23.11)),
    _full("MDFT", zsl=29.34),
)
ADDED = (
    Ablation("value_gate", "motion as a gate alone", {VALUE: "gate"}),
    Ablation("value_linear", "motion as a value: linear", {VALUE: "linear"}),
    Ablation("value_recurrent", "motion as a value: recurrent", {VALUE: "recurrent"}),
    Ablation("joint", "joint space of eq. (12)", JOINT),
    Ablation("no_softmax", "w/o cross-entropy", {SOFTMAX: 0.0}),
    Ablation("paper", "the paper's form", {VALUE: "gate", **JOINT, SOFTMAX: 0.0}),
    Ablation(FULL, "MDFT"),
)
#: Name → label and change of a threshold; the first is that of MDFT.
THRESHOLDS = {
    "dynamic": ("dynamic (relative)", {MODE: "relative"}),
    "fixed_0.5": ("fixed 0.5", {MODE: "fixed", THETA: 0.5}),
    "fixed_1": ("fixed 1", {MODE: "fixed", THETA: 1.0}),
    "fixed_2": ("fixed 2", {MODE: "fixed", THETA: 2.0}),
}
MODALITIES = {"both": "both", "audio": "audio only", "visual": "visual only"}
FIGURE_5 = (
    *(
        Ablation(f"{name}_{modality}", f"{label}, {inputs}", {**change, INPUTS: modality})
        for name, (label, change) in THRESHOLDS.items()
        for modality, inputs in MODALITIES.items()
    ),
    Ablation("paper_both", "dynamic (as printed, clamped), both", {MODE: "paper"}),
)

COMPARISONS = (
    Comparison("table-2", "The paper's Table 2: spiking network and events", TABLE_2),
    Comparison("table-3", "The paper's Table 3: components", TABLE_3),
    Comparison("table-4", "The paper's Table 4: loss terms", TABLE_4),
    Comparison("added", "Our additions, taken away", ADDED),
    Comparison("figure-5", "The paper's Figure 5: thresholds and modalities", FIGURE_5),
)


def changed(config: T, change: Mapping[str, Any]) -> T:
    """Return a configuration with some fields replaced.

    Args:
        config: a dataclass, possibly with nested dataclasses.
        change: dotted field → value.
    """
    for name, value in change.items():
        head, _, rest = name.partition(".")
        inner = changed(getattr(config, head), {rest: value}) if rest else value
        config = replace(config, **{head: inner})  # type: ignore[type-var]
    return config


def distinct_rows(config: TrainConfig) -> dict[str, Row]:
    """Name of every ablation → the row to run for it; equal configurations share a row.

    Args:
        config: the full model.
    """
    rows = [Row(FULL, config)]
    chosen = {FULL: rows[0]}
    for ablation in (row for comparison in COMPARISONS for row in comparison.rows):
        candidate = Row(ablation.name, changed(config, ablation.change))
        same = [row for row in rows if row.config == candidate.config]
        if not same:
            rows.append(candidate)
        chosen.setdefault(ablation.name, (same or [candidate])[0])
    return chosen


def applicable(row: Row) -> bool:
    """Whether a row is a valid configuration: what it turns off may be all that is left on."""
    try:
        row.config.check()
    except UserError:
        return False
    return True


def chosen_rows(rows: Mapping[str, Row], only: Sequence[str]) -> list[Row]:
    """The rows to run, without duplicates.

    Args:
        rows: name of every ablation → its row.
        only: requested names; empty: all.

    Raises:
        UserError: an ablation is unknown.
    """
    for name in only:
        if name not in rows:
            raise unknown("--only", name, rows)
    return list({rows[name].name: rows[name] for name in only or rows}.values())
