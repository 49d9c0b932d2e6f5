"""`--model conse`: the labels without training, through the interface of a system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from mdft import gzsl
from mdft.config.features import FeatureConfig
from mdft.config.recipes import folder
from mdft.data.dataset import ClipSet, Provenance
from mdft.data.stages import STAGES
from mdft.data.standardise import standardised, whitened, with_events_as_features
from mdft.data.video.backbone import Backbone, Language
from mdft.data.video.concept_labels import by_sentences
from mdft.data.video.concepts import Head, mixtures
from mdft.errors import UserError
from mdft.runs.folder import Results
from mdft.systems import conse
from mdft.systems.build import build
from mdft.systems.interface import System
from mdft.training import run as run_module
from mdft.training import untrained as untrained_module
from mdft.training.evaluation import score_split
from mdft.training.protocol import Progress
from mdft.training.screen import TrainingScreen, scores_table
from mdft.training.untrained import few_clips_note, untrained
from tests.mdft.small import random_clips

pytestmark = pytest.mark.rounding
WORDS = 6
RESULTS = Results(
    seen=0.5, unseen=0.25, hm=1 / 3, zsl=0.5, beta=0.0, epoch=0, seed=0, firing_rates={},
    firing_spread={}, dead_neurons={}, candidates=4, candidates_unseen=2, seconds=1.0,
)  # fmt: skip


def texts(names: Sequence[str]) -> np.ndarray:
    drawn = [np.random.default_rng(list(name.encode())).normal(size=WORDS) for name in names]
    found = np.array(drawn)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def toy_backbone(clips: ClipSet) -> Backbone:
    rng = np.random.default_rng(0)

    def head(count: int, width: int, exclusive: bool) -> Head:
        names = [f"concept {k}, " * (k % 2) + f"thing {k}" for k in range(count)]
        weight_KD, bias_K = rng.normal(size=(count, width)), rng.normal(size=count)
        return Head(names, weight_KD, bias_K, exclusive, prior_K=rng.uniform(0.1, 1, count))

    heads = {
        "audio": head(5, clips.audio_MD.shape[1], False),
        "visual": head(7, clips.visual_MD.shape[1], True),
    }
    language = Language(
        "toy", texts, lambda names, prompts: by_sentences(texts, names, prompts, heads), heads
    )
    silent = lambda x: x  # noqa: E731
    widths = (clips.audio_MD.shape[1], clips.visual_MD.shape[1], WORDS)
    return Backbone(8, 1, 8000, silent, silent, language=language, widths=widths)


@pytest.fixture
def clips(monkeypatch) -> ClipSet:
    """Random clips of several lengths, with words of unit length, as of the backbone light."""
    found = random_clips()
    words_CW = texts(found.classes)
    features = FeatureConfig(backbone="light").described() | {"checkpoint": None}
    provenance = Provenance("folder", features, words="toy")
    found = replace(standardised(found), words_CW=words_CW, provenance=provenance)
    for user in (conse, untrained_module):
        monkeypatch.setattr(user, "make_backbone", lambda config: toy_backbone(found))
    monkeypatch.setattr(FeatureConfig, "check", lambda self: None)
    return found


def system(clips: ClipSet) -> System:
    config = replace(folder(), system="conse")
    made = build(config).eval()
    made.prepare(clips, STAGES[-1], 0)
    return made


def test_its_distances_are_the_evidence_of_both_modalities(clips: ClipSet):
    made, indices = system(clips), np.arange(0, len(clips), 7)
    classes = np.arange(len(clips.classes))
    with torch.no_grad():
        embedded = made.embed_clips(clips.batch(indices))
        found = made.distances(embedded, made.embed_words(torch.from_numpy(clips.words_CW)))
    heads = toy_backbone(clips).language.heads  # type: ignore[union-attr]
    for row, i in zip(found, indices, strict=True):
        rows = slice(clips.offsets_N1[i], clips.offsets_N1[i + 1])
        expected = np.zeros(len(classes))
        for modality, x_MD in (("audio", clips.audio_MD), ("visual", clips.visual_MD)):
            head = heads[modality]
            mixed = mixtures(clips.words_CW, texts(head.names), head.first_K)
            expected -= heads[modality].evidence(x_MD[rows], mixed).log_C
        np.testing.assert_allclose(row, expected, rtol=1e-4)


def test_a_saved_run_needs_no_backbone(clips: ClipSet):
    made, batch = system(clips), clips.batch(np.arange(4))
    again = build(replace(folder(), system="conse"))
    again.load_state_dict(made.state_dict())
    torch.testing.assert_close(again.embed_clips(batch).o_BRE, made.embed_clips(batch).o_BRE)


@pytest.mark.parametrize(
    ("provenance", "message"),
    [
        (Provenance("files"), "needs features of --backbone light, found features that record no"),
        (Provenance("folder", FeatureConfig().described()), "light, found frozen"),
        (
            Provenance("folder", FeatureConfig(backbone="light").described(), words="glove.txt"),
            "needs the words of toy, found glove.txt",
        ),
    ],
)
def test_other_features_are_refused(clips: ClipSet, provenance: Provenance, message: str):
    with pytest.raises(UserError, match=message):
        system(replace(clips, provenance=provenance))


def test_whitened_features_are_refused(clips: ClipSet):
    with pytest.raises(UserError, match=r"--model conse: .* leave --data.whiten out"):
        system(whitened(clips))


def test_a_runs_table_has_it_beside_the_trained_model(clips: ClipSet):
    """The same scores as of conse's own test, with the β of its own validation."""
    config = replace(folder(), batch_size=16)
    found = untrained(config, clips)
    assert found is not None
    made = system(clips)
    val, test = (score_split(made, clips, s.seen, s.unseen, 16) for s in STAGES)
    beta = gzsl.choose_beta(val.distances, val.labels, val.seen)
    expected = gzsl.scores(test.distances, test.labels, test.seen, beta)
    assert found == expected
    assert clips.provenance is not None
    clip_clap = {**FeatureConfig(backbone="clip-clap").described(), "checkpoint": None}
    others = replace(clips, provenance=replace(clips.provenance, features=clip_clap))
    assert untrained(config, others) == expected  # the toy's labeller again
    frozen = replace(clips.provenance, features=FeatureConfig().described())
    assert untrained(config, replace(clips, provenance=frozen)) is None
    assert len(scores_table(RESULTS, found).columns) == 1 + len(scores_table(RESULTS).columns)
    assert untrained(replace(config, system="conse"), clips) is None


def test_events_beside_the_features_do_not_change_it(clips: ClipSet):
    config = replace(folder(), batch_size=16)
    found, expected = (untrained(config, x) for x in (with_events_as_features(clips), clips))
    assert found is not None and expected is not None
    assert found.hm == pytest.approx(expected.hm) and found.zsl == pytest.approx(expected.zsl)


@pytest.mark.parametrize(
    "error", [UserError("yamnet.tflite: gone"), OSError("yamnet.tflite: gone")]
)
def test_the_results_are_shown_without_it(clips: ClipSet, monkeypatch, error: Exception):
    def gone(config: FeatureConfig) -> Backbone:
        raise error

    monkeypatch.setattr(untrained_module, "make_backbone", gone)
    done = run_module.Run(Path("RUN"), clips, Progress(), RESULTS)
    monkeypatch.setattr(run_module, "fit", lambda *_, **__: done)
    box = StringIO()
    run_module.train(folder(), Path("RUN"), console=Console(file=box, width=120))
    lines = box.getvalue()
    assert "33.3" in lines and "without training %" not in lines
    assert "note: no scores of labels without training: yamnet.tflite: gone" in lines
    assert "test clips of" in lines


def test_few_clips_are_noted(clips: ClipSet):
    count = len(clips.splits["test_unseen"])
    note = few_clips_note(clips)
    assert note == "" if count >= 50 else note.startswith(f"note: {count} test clips of")
    few = replace(clips, splits={**clips.splits, "test_unseen": clips.splits["test_unseen"][:4]})
    assert "4 test clips" in few_clips_note(few) and "one clip is 25 %" in few_clips_note(few)


def test_an_epoch_without_training_steps_is_shown():
    """In a pipe a line is printed for each epoch; closed forms have no loss to print."""
    box = StringIO()
    screen = TrainingScreen(Console(file=box))
    screen({"stage": "stage_1", "epoch": 0, "loss": {}, "firing_rates": {}, "val": {"hm": 0.5}})
    assert box.getvalue() == "stage_1 epoch 1: no training steps, validation HM 50.0 %\n"


def test_a_note_with_brackets_is_shown():
    box = StringIO()
    TrainingScreen(Console(file=box))({"note": "note: class 'a [b]' has no clip"})
    assert box.getvalue() == "note: class 'a [b]' has no clip\n"
