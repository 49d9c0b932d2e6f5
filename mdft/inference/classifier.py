"""What a loaded model does with a video file: embed it, and name its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from mdft.data.dataset import Batch
from mdft.errors import UserError

if TYPE_CHECKING:
    from mdft.data.video.clip import ClipFeatures
    from mdft.inference.candidates import Candidates, Guess
    from mdft.runs.preprocessing import Context
    from mdft.systems.interface import Embedded, System


class LabelsClips:
    """Adds :meth:`embed` and :meth:`predict` to a system that :func:`mdft.load` loaded.

    Attributes:
        run: the folder it was loaded from; None if it was not.
    """

    run: Path | None = None

    # Imports stand in the methods: a context is read with mdft.runs.folder, which loads systems.

    def context(self) -> Context:
        """The run's classes, words, standardisation and way of taking features.

        Raises:
            UserError: the model is not loaded from a run, or the run is not finished.
        """
        from mdft.runs.preprocessing import read_context

        if self.run is None:
            raise UserError("this model belongs to no run; load one with mdft.load(RUN)")
        return read_context(self.run)

    def batch_of(self, clip: Path | str | ClipFeatures) -> Batch:
        """A clip as the model takes it.

        Args:
            clip: a video file, taken as for the run's training, or what was taken from one.

        Raises:
            UserError: the file cannot be read, or the features do not fit the run.
        """
        from mdft.data.video.clip import extract_clip

        context = self.context()
        if isinstance(clip, (str, Path)):
            clip = extract_clip(Path(clip), context.features(None, None))
        return context.batch(clip)

    @torch.no_grad()
    def embed(self, clip: Path | str | ClipFeatures) -> Tensor:
        """Where a clip lies in the joint space: (E,), or (M,E) of a baseline with M branches.

        Raises:
            UserError: as :meth:`batch_of`.
        """
        return self._system().embed_clips(self.batch_of(clip)).o_BME[0].squeeze(0)

    def predict(
        self,
        clip: Path | str | ClipFeatures,
        classes: Sequence[str] | None = None,
        vectors: Path | str | None = None,
    ) -> list[Guess]:
        """The classes of a clip, nearest first: by ``‖O_av − O_w‖₂``, plus β if seen.

        Args:
            clip: a video file, or what was taken from one.
            classes: to choose from; None: those of the run's test.
            vectors: file of word vectors, for classes that the run does not know.

        Raises:
            UserError: as :meth:`batch_of` and :func:`mdft.inference.candidates.candidates`.
        """
        from mdft.inference.candidates import candidates

        choice = candidates(self.context(), classes, Path(vectors) if vectors else None)
        return self.guesses(self.batch_of(clip), choice)

    @torch.no_grad()
    def guesses(
        self,
        batch: Batch,
        choice: Candidates,
        embed: Callable[[Batch], Embedded] | None = None,
    ) -> list[Guess]:
        """All candidates for a batch of one clip, nearest first.

        Args:
            batch: of :meth:`batch_of`.
            choice: the candidates.
            embed: in the place of ``embed_clips``: with its motion in a simulator, say.
        """
        from mdft.inference.candidates import ranked
        from mdft.runs.folder import read_results

        assert self.run is not None, "a batch was made with its context"
        system = self._system()
        o_w_CE = system.embed_words(torch.from_numpy(choice.words_CW))
        distances_C = system.distances((embed or system.embed_clips)(batch), o_w_CE)[0]
        return ranked(choice, distances_C, read_results(self.run).beta)

    def _system(self) -> System:
        return cast("System", self)
