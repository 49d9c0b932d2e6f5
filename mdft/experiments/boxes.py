"""What a linear map recovers after each box of MDFT, on the validation classes.

A ridge regression from the mean over a clip of a box's output to the word vectors is fitted to the
clips of ``stage_1_train``; its strength and β are those with the best validation HM. It tells what
the boxes after this one could still use without any nonlinearity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mdft import gzsl
from mdft.data.cells import pool_cells
from mdft.data.dataset import Batch, ClipSet
from mdft.data.stages import STAGES
from mdft.gzsl import Scores
from mdft.model.crm import CRM, FusionBlock, accumulate
from mdft.model.layers import masked_mean
from mdft.model.mdft import MDFT
from mdft.model.motion import MotionMLP
from mdft.model.regression import ridge

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: Distances of words are multiplied by it, so that the steps of β are fine enough.
_UNIT = 5.0
_CLIPS = 64


@torch.no_grad()
def outputs(model: MDFT, batch: Batch) -> dict[str, Tensor]:
    """Box → the mean over the clip of its output, (B, width).

    Args:
        model: the model, in the mode in which it is to be probed.
        batch: clips of one length.
    """
    mask_BT, T = batch.mask_BT, batch.mask_BT.shape[1]
    semantics, found = model.semantics(batch), {}

    def add(name: str, x_BTD: Tensor) -> None:
        found[name] = masked_mean(x_BTD, mask_BT)

    E_v_BTKD = batch.events_BTKD
    features_BTD = torch.cat([batch.audio_BTD, batch.visual_BTD], -1)
    add("features, audio and visual", features_BTD)
    add("features and E_v", torch.cat([features_BTD, E_v_BTKD.mean(2)], -1))
    add("E_v, all cells", E_v_BTKD.mean(2))
    add("E_v, cells of the model", pool_cells(E_v_BTKD, model.config.dim).mean(2))
    add("a and v, encoded", torch.cat([semantics.a_BTD, semantics.v_BTD], -1))
    add("S, RJLU", semantics.S_BTD)
    if semantics.h_BTD is not None:
        add("h, RJLU", semantics.h_BTD)
        found["h of the last second"] = semantics.h_BTD[:, -1]
    layers: dict[str, list[Tensor]] = {}
    for pathway, given in model.motion_inputs(batch).items():
        add(f"input of the branch, {pathway}", given.x_BSD.unflatten(1, (T, -1)).mean(2))
        if not model.spiking:
            network = model.motion[pathway]
            assert isinstance(network, MotionMLP)
            layers[pathway] = network.outputs(given.x_BSD)
            add(f"MLP, {pathway}", layers[pathway][-1].unflatten(1, (T, -1)).mean(2))
            continue
        traces = model.branch(pathway).trace(given.x_BSD, threshold_current=given.current_BS1)
        for index, (spikes_BSN, _) in enumerate(traces, start=1):
            rate_BTN = spikes_BSN.unflatten(1, (T, -1)).mean(2)
            add(f"rate of layer {index}, {pathway}", rate_BTN)
            if pathway == "visual":
                both = torch.cat([semantics.a_BTD, semantics.v_BTD, rate_BTN], -1)
                add(f"a, v and rate of layer {index}, {pathway}", both)
        membrane_BTN = traces[-1][1].unflatten(1, (T, -1)).mean(2)
        add(f"membrane of the last layer, {pathway}", membrane_BTN)
        layers[pathway] = [spikes_BSN for spikes_BSN, _ in traces]
    if isinstance(model.crm, CRM):
        j = {p: accumulate(x[-1].unflatten(1, (T, -1))) for p, x in layers.items()}
        P = {}
        for pathway, x_BTD in (("audio", semantics.a_BTD), ("visual", semantics.v_BTD)):
            block: FusionBlock = getattr(model.crm, f"{pathway}_fusion")
            if block.gate is not None:
                add(f"gated features, {pathway}", block.gate(x_BTD, j[pathway], mask_BT))
            P[pathway] = block(x_BTD, j.get(pathway), mask_BT)
            add(f"P, {pathway}", P[pathway])
        add("F_av", model.crm.cross_modal(P["visual"], P["audio"], semantics.h_BTD, mask_BT))
    for readout in model.readouts:
        given = layers, semantics.a_BTD, semantics.v_BTD, mask_BT
        add(f"M, {type(readout).__name__}", readout(*given))
    found["O_av"] = model.reason(semantics, layers, mask_BT)
    found["O_av, reconstructed"] = model.reconstruct(found["O_av"])
    return found


def probe(model: MDFT, clips: ClipSet) -> dict[str, Scores]:
    """Box → the best validation scores of a ridge regression on its output.

    Args:
        model: the model; it is put into eval mode.
        clips: clips of one length.
    """
    model.eval()
    splits = {name: clips.splits[name] for name in _needed()}
    read = {name: _read(model, clips, indices) for name, indices in splits.items()}
    return {box: _best(clips, {s: x[box] for s, x in read.items()}) for box in read[_needed()[0]]}


def own(model: MDFT, clips: ClipSet) -> dict[str, Scores]:
    """The validation scores of the model's nearest word, in the joint space and in that of words.

    Args:
        model: the model; it is put into eval mode.
        clips: clips of one length.
    """
    model.eval()
    scored = _needed()[1:]
    read = [_read(model, clips, clips.splits[s]) for s in scored]
    o_NE, r_NW = (np.concatenate([x[b] for x in read]) for b in ("O_av", "O_av, reconstructed"))
    words_CW = clips.words_CW[clips.classes_of(*scored)]
    with torch.no_grad():
        o_w_CE = model.embed_words(torch.from_numpy(words_CW)).numpy()
    return {
        "own score": _scored(clips, _between(o_NE, o_w_CE)),
        "own score, nearest reconstructed word": _scored(clips, _UNIT * _between(r_NW, words_CW)),
    }


def _needed() -> tuple[str, str, str]:
    return STAGES[0].train, STAGES[0].seen, STAGES[0].unseen


def _read(model: MDFT, clips: ClipSet, indices: np.ndarray) -> dict[str, np.ndarray]:
    parts: Sequence[dict[str, Tensor]] = [
        outputs(model, clips.batch(indices[i : i + _CLIPS])) for i in range(0, len(indices), _CLIPS)
    ]
    return {box: torch.cat([part[box] for part in parts]).double().numpy() for box in parts[0]}


def _best(clips: ClipSet, x: dict[str, np.ndarray]) -> Scores:
    train, *scored = _needed()
    mean_F, std_F = x[train].mean(0), x[train].std(0)
    scale_F = np.where(std_F > 1e-6, 1 / np.maximum(std_F, 1e-6), 0.0)
    x = {name: (x_NF - mean_F) * scale_F for name, x_NF in x.items()}
    y_NW = clips.words_CW[clips.labels_N[clips.splits[train]]]
    words_CW = clips.words_CW[clips.classes_of(*scored)]
    tried = []
    for strength in STRENGTHS:
        map_FW, mean_F, mean_W = ridge(x[train], y_NW, strength)
        x_NF = np.concatenate([x[name] for name in scored])
        predicted_NW = (x_NF - mean_F) @ map_FW + mean_W
        tried.append(_scored(clips, _UNIT * _between(predicted_NW, words_CW)))
    return max(tried, key=lambda found: found.hm)


def _scored(clips: ClipSet, distances_NC: np.ndarray) -> Scores:
    _, *scored = _needed()
    candidates = clips.classes_of(*scored)
    labels_N = clips.labels_N[np.concatenate([clips.splits[s] for s in scored])]
    labels = np.searchsorted(candidates, labels_N)
    seen = np.isin(candidates, clips.classes_of(scored[0]))
    beta = gzsl.choose_beta(distances_NC, labels, seen)
    return gzsl.scores(distances_NC, labels, seen, beta)


def _between(x_NW: np.ndarray, words_CW: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x_NW[:, None] - words_CW.astype(np.float64), axis=2)
