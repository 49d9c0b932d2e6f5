"""Labels without training: the backbone's own networks and class names alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mdft.config.features import LIGHT, ZERO_SHOT, FeatureConfig
from mdft.data.video.backbone import Backbone, Evidence, Labeller
from mdft.data.video.backbones import make_backbone
from mdft.data.video.clip import ClipFeatures, extract_clip
from mdft.data.video.concept_labels import by_words
from mdft.data.video.names import words_of
from mdft.errors import UserError

#: Most candidate classes of a call.
MOST_NAMES = 100_000
PLAIN = ("{}",)
_LONGEST_PROMPT = 1000


@dataclass(frozen=True)
class Label:
    """A candidate class and its scores.

    Attributes:
        name: name of the class.
        score: of all modalities together, from 0 to 1; scores of all candidates sum to 1. It
            orders classes and is no calibrated probability.
        parts: modality → its score alone.
    """

    name: str
    score: float
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Labelled:
    """The labels of a clip.

    Attributes:
        labels: all candidates, best first.
        evidence: modality → what it says; without audio for a silent clip.
        remarks: irregularities of the file, one line each.
        silent: whether the clip has no sound, so that its frames alone were used.
        clip: its features, and its frames and sound if requested.
    """

    labels: Sequence[Label]
    evidence: Mapping[str, Evidence]
    remarks: Sequence[str]
    silent: bool
    clip: ClipFeatures = field(repr=False)


@dataclass(frozen=True)
class ZeroShot:
    """Labels clips among some class names.

    Attributes:
        names: the candidates.
        config: settings of the extraction.
        backbone: the networks.
        labeller: compares features with the candidates.
        notes: notes for the user, one line each.
    """

    names: Sequence[str]
    config: FeatureConfig
    backbone: Backbone
    labeller: Labeller
    notes: Sequence[str] = ()

    def label(
        self, path: Path | str, *, strict: bool = False, keep_footage: bool = False
    ) -> Labelled:
        """Label a clip.

        Args:
            path: path of the video file.
            strict: refuse a clip of which any frame is lost or damaged.
            keep_footage: whether to return the decoded frames and sound.

        Raises:
            UserError: the file cannot be read.
        """
        clip = extract_clip(Path(path), self.config, keep_footage=keep_footage, strict=strict)
        return self.of_features(clip)

    def of_features(self, clip: ClipFeatures) -> Labelled:
        """Label a clip whose features were extracted; a silent clip by its frames alone.

        Args:
            clip: its features.
        """
        found = dict(self.labeller(clip.audio_TD, clip.visual_TD))
        remarks = list(clip.remarks)
        if clip.silent:
            found.pop("audio", None)
            remarks.append("silent: labelled by its frames alone")
        return Labelled(ranked(self.names, found), found, remarks, clip.silent, clip)


def zero_shot(
    config: FeatureConfig,
    names: Sequence[str],
    prompts: Sequence[str] = PLAIN,
    vectors: Path | None = None,
) -> ZeroShot:
    """A labeller of clips among some class names, without training.

    Args:
        config: names the backbone, ``light`` or ``clip-clap``.
        names: the candidates.
        prompts: texts with ``{}`` for the name; a name's vector is the mean over them.
        vectors: file of word vectors to use in place of the text encoder of ``light``.

    Raises:
        UserError: the backbone has no words, its weights are missing, a name or a prompt is
            invalid, or the file has no vector for a name.
    """
    check_names(names)
    check_prompts(prompts)
    if vectors is not None:
        check_vectors(config.backbone, vectors, prompts)
    backbone = make_backbone(config)
    if backbone.language is None:
        raise UserError(
            f"--backbone {config.backbone}: knows no words, so it labels nothing without training; "
            f"expected {' or '.join(ZERO_SHOT)}"
        )
    notes = [backbone.note] if backbone.note else []
    if vectors is None:
        labeller = backbone.language.labeller(names, prompts)
    else:
        labeller, others = by_words(vectors, names, backbone.language.heads)
        notes += others
    return ZeroShot(tuple(names), config, backbone, labeller, notes)


def check_vectors(backbone: str, vectors: Path, prompts: Sequence[str]) -> None:
    """Check whether a file of word vectors can be used.

    Raises:
        UserError: the backbone compares clips with text itself, or there are prompts.
    """
    if backbone != LIGHT:
        raise UserError(
            f"--vectors {vectors}: {backbone} compares clips with texts by its own encoder; leave "
            "it out"
        )
    if tuple(prompts) != PLAIN:
        raise UserError(
            f"--prompt: not used with --vectors {vectors}, which has vectors of words, not of "
            "texts; leave one of them out"
        )


def ranked(names: Sequence[str], evidence: Mapping[str, Evidence]) -> list[Label]:
    """All candidates, best first; equal ones keep their order.

    The modalities are taken as independent given the class, so that their scores are multiplied:
    ``log s = Σ_m log s_m``, normalised over the candidates.

    Args:
        names: the C candidates.
        evidence: modality → what it says.

    Example:
        >>> import numpy as np
        >>> audio, visual = (Evidence(np.log([0.5, 0.5 - p, p])) for p in (0.1, 0.2))
        >>> labels = ranked(["a", "b", "c"], {"audio": audio, "visual": visual})
        >>> [(label.name, round(label.score, 2)) for label in labels]
        [('a', 0.64), ('b', 0.31), ('c', 0.05)]
    """
    log_C = np.sum([found.log_C for found in evidence.values()], axis=0)
    score_C = np.exp(log_C - log_C.max())
    score_C /= score_C.sum()
    parts = {m: np.exp(found.log_C) for m, found in evidence.items()}
    order = np.argsort(-log_C, kind="stable")
    return [
        Label(names[int(c)], float(score_C[c]), {m: float(s_C[c]) for m, s_C in parts.items()})
        for c in order
    ]


def check_names(names: Sequence[str]) -> None:
    """Check the candidates.

    Raises:
        UserError: there are none or too many, one has no letter or digit, or two are the same.
    """
    if not names or isinstance(names, str):
        raise UserError(f"classes: found {names!r}, expected a list of at least one name")
    if len(names) > MOST_NAMES:
        raise UserError(f"classes: {len(names)} names, expected at most {MOST_NAMES}")
    before: dict[tuple[str, ...], str] = {}
    for name in names:
        words = tuple(words_of(name))
        if not words:
            raise UserError(f"classes: {name!r} has no letter or digit, expected words")
        if words in before:
            other = before[words]
            same = "given twice" if other == name else f"the same class as {other!r}"
            raise UserError(f"classes: {name!r} is {same}")
        before[words] = name


def check_prompts(prompts: Sequence[str]) -> None:
    """Check the texts in which names are read.

    Raises:
        UserError: there are none, or one has no ``{}`` or is too long.
    """
    if not prompts:
        raise UserError("--prompt: found none, expected a text such as 'a video of {}'")
    for prompt in prompts:
        if "{}" not in prompt or len(prompt) > _LONGEST_PROMPT:
            raise UserError(
                f"--prompt is {prompt[:80]!r}, expected a text of at most {_LONGEST_PROMPT} "
                "characters with {} for the name, such as 'a video of {}'"
            )
