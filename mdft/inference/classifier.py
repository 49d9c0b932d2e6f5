"""The classifier of a trained run, which maps video files to embeddings and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

import torch
from torch import Tensor, nn

from mdft.config.features import FeatureConfig
from mdft.data.dataset import Batch
from mdft.data.video.clip import ClipFeatures, extract_clip
from mdft.errors import UserError
from mdft.inference.candidates import Candidates, Guess, candidates, ranked
from mdft.model.mdft import MDFT
from mdft.runs.folder import RESULTS, Results, read_results, run_folder
from mdft.runs.load import load_model
from mdft.runs.preprocessing import Preprocessing, read_preprocessing
from mdft.systems.interface import Embedded, System

#: Number of clips that are embedded together.
BATCH = 32

Clip = Path | str | ClipFeatures


@dataclass(frozen=True)
class Classifier:
    """A trained model with the preprocessing that it needs to label a video file.

    Attributes:
        model: the ``torch.nn.Module`` in eval mode (:class:`mdft.model.MDFT` or a baseline).
        folder: the run's folder.
        backbone: feature network, for a run that does not record it.
        checkpoint: weights of the feature network, if the file was moved since training.
        embedder: replaces ``model.embed_clips``, for example to run the motion branch in a
            simulator (``export.simulated.SimulatedMotion``).

    Example:
        >>> import mdft
        >>> classifier = mdft.load(mdft.RELEASED)
        >>> len(classifier.classes), round(classifier.results.zsl, 1)
        (48, 1.0)
    """

    model: System
    folder: Path
    backbone: str | None = None
    checkpoint: Path | None = None
    embedder: Callable[[Batch], Embedded] | None = None

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the model's input, and the classes of the run.

        Raises:
            UserError: the file is missing, as in an unfinished run, or damaged.
        """
        return read_preprocessing(self.folder)

    @cached_property
    def results(self) -> Results:
        """The test scores of the run, and its β.

        Raises:
            UserError: the file is missing or damaged.
        """
        if not (self.folder / RESULTS).is_file():
            raise UserError(f"{self.folder}: no {RESULTS} there; finish the training")
        return read_results(self.folder)

    @cached_property
    def features(self) -> FeatureConfig:
        """The configuration of the feature extraction, the same as in training.

        Raises:
            UserError: as :meth:`mdft.runs.preprocessing.Preprocessing.features`.
        """
        return self.preprocessing.features(self.backbone, self.checkpoint)

    @property
    def classes(self) -> list[str]:
        """Names of the default candidate classes of :meth:`predict`."""
        return list(self.candidates().names)

    @property
    def motion(self) -> nn.ModuleDict:
        """The spiking motion branch of each pathway, ``audio`` and ``visual``.

        Raises:
            UserError: the run is a baseline's, or has no motion branch.
        """
        if not (isinstance(self.model, MDFT) and self.model.spiking):
            raise UserError(f"{self.folder}: this run has no spiking motion branch")
        return self.model.motion

    def candidates(
        self, classes: Sequence[str] | None = None, vectors: Path | str | None = None
    ) -> Candidates:
        """The candidate classes with their word vectors.

        Args:
            classes: class names; None: the test classes of the run.
            vectors: file of word vectors, for classes that the run does not have.

        Raises:
            UserError: as :func:`mdft.inference.candidates.candidates`.
        """
        return candidates(self.preprocessing, classes, Path(vectors) if vectors else None)

    def read(self, clip: Clip, *, keep_footage: bool = False, strict: bool = False) -> ClipFeatures:
        """Extract the features and events of a clip as in the run's training.

        Args:
            clip: a video file; extracted features are returned unchanged.
            keep_footage: whether to return the decoded frames and sound as well.
            strict: refuse a clip with frames that cannot be decoded.

        Raises:
            UserError: the file cannot be read, or the run does not record its features.
        """
        if isinstance(clip, ClipFeatures):
            return clip
        return extract_clip(Path(clip), self.features, keep_footage=keep_footage, strict=strict)

    @overload
    def embed(self, clips: Clip) -> Tensor: ...
    @overload
    def embed(self, clips: Sequence[Clip]) -> list[Tensor]: ...
    @torch.no_grad()
    def embed(self, clips: Clip | Sequence[Clip]) -> Tensor | list[Tensor]:
        """Embed clips in the space where classes are compared with them, ``O_av`` of eq. (12).

        Args:
            clips: a video file or its features, or a sequence of them. A sequence is embedded in
                batches of ``BATCH`` clips, which changes results only by rounding.

        Returns:
            (E,), or (R,E) for a baseline with R representations; a list of them for a sequence.

        Raises:
            UserError: as :meth:`read`, or the features do not fit the run.
        """
        found = [o_RE.squeeze(0) for x in self._embedded(_listed(clips)) for o_RE in x.o_BRE]
        return found[0] if isinstance(clips, Clip) else found

    @overload
    def predict(
        self,
        clips: Clip,
        classes: Sequence[str] | Candidates | None = None,
        vectors: Path | str | None = None,
    ) -> list[Guess]: ...
    @overload
    def predict(
        self,
        clips: Sequence[Clip],
        classes: Sequence[str] | Candidates | None = None,
        vectors: Path | str | None = None,
    ) -> list[list[Guess]]: ...
    @torch.no_grad()
    def predict(
        self,
        clips: Clip | Sequence[Clip],
        classes: Sequence[str] | Candidates | None = None,
        vectors: Path | str | None = None,
    ) -> list[Guess] | list[list[Guess]]:
        """Predict the classes of clips, sorted by ``‖O_av − O_w‖₂``, plus β for seen classes.

        Args:
            clips: as for :meth:`embed`.
            classes: candidate class names, or the result of :meth:`candidates`; None: the test
                classes of the run.
            vectors: file of word vectors, for classes that the run does not have.

        Returns:
            All candidates for a clip, nearest first; a list of such lists for a sequence.

        Raises:
            UserError: as :meth:`embed` and :meth:`candidates`.
        """
        chosen = classes if isinstance(classes, Candidates) else self.candidates(classes, vectors)
        o_w_CE = self.model.embed_words(torch.from_numpy(chosen.words_CW))
        distances = [self.model.distances(x, o_w_CE) for x in self._embedded(_listed(clips))]
        found = [ranked(chosen, d_C, self.results.beta) for d_BC in distances for d_C in d_BC]
        return found[0] if isinstance(clips, Clip) else found

    def _embedded(self, clips: Sequence[Clip]) -> Iterator[Embedded]:
        for start in range(0, len(clips), BATCH):
            batch = self.preprocessing.batch([self.read(c) for c in clips[start : start + BATCH]])
            yield (self.embedder or self.model.embed_clips)(batch)


def _listed(clips: Clip | Sequence[Clip]) -> Sequence[Clip]:
    return [clips] if isinstance(clips, Clip) else clips


def load(
    run: Path | str, *, backbone: str | None = None, checkpoint: Path | str | None = None
) -> Classifier:
    """Load a trained run, on the CPU, in eval mode.

    Args:
        run: the run's folder or the checkpoint file in it.
        backbone: feature network, for a run that does not record it: ``frozen``, ``selavi`` or
            ``torchvision:NAME``.
        checkpoint: weights of the feature network, if the file was moved since training.

    Raises:
        UserError: there is no finished run, or its weights do not fit its configuration.

    Example:
        >>> import mdft
        >>> mdft.load(mdft.RELEASED).motion["visual"]  # doctest: +ELLIPSIS
        MotionBranch(...
    """
    folder = run_folder(run)
    path = Path(checkpoint) if checkpoint is not None else None
    return Classifier(load_model(folder), folder, backbone, path)
