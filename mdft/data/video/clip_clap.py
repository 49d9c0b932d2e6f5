"""The backbone `clip-clap`: CLIP for frames and CLAP for sound, as ClipClap uses them.

Radford et al., CLIP, 2021; Wu et al., CLAP, 2023; Kurzendörfer et al., ClipClap-GZSL, 2024. The
networks and their pre-processing are those of Hugging Face `transformers`, an optional dependency.
A second's visual vector is CLIP's embedding of one frame, its audio vector CLAP's of the second's
sound, which CLAP's own pre-processing repeats to fill its window. Class names are read by both text
towers; a name's vector is CLIP's beside CLAP's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mdft.config.features import FeatureConfig
from mdft.data.video.backbone import Backbone, Evidence, Labeller, Language
from mdft.data.video.prompts import prompted
from mdft.errors import UserError, reason

_BATCH = 32


@dataclass(frozen=True)
class Tower:
    """CLIP or CLAP with its pre-processing.

    Attributes:
        model: the model of transformers, in eval mode.
        prepare: its image processor or feature extractor.
        tokenise: its tokeniser.
    """

    model: Any
    prepare: Any
    tokenise: Any

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """(C, D) float32 of unit length, one row per text."""
        rows = []
        longest = self.model.config.text_config.max_position_embeddings
        limit = min(longest, 10**6) - 2  # RoBERTa's positions begin at 2
        for start in range(0, len(texts), _BATCH):
            part = list(texts[start : start + _BATCH])
            given = self.tokenise(
                part, padding=True, truncation=True, max_length=limit, return_tensors="pt"
            )
            given = {k: given[k] for k in ("input_ids", "attention_mask")}
            pooled_BD = self.model.text_model(**given).pooler_output
            rows.append(F.normalize(self.model.text_projection(pooled_BD), dim=-1))
        return torch.cat(rows).numpy()


def clip_clap(config: FeatureConfig) -> Backbone:
    """The backbone with the models that a configuration names.

    Args:
        config: ``clip`` and ``clap`` are names on the hub or folders; nothing is downloaded unless
            ``download`` says so.

    Raises:
        UserError: transformers is missing, or a model is not on this machine or of another kind.
    """
    clip = _tower("clip", config.clip, config.download)
    clap = _tower("clap", config.clap, config.download)
    size = clip.prepare.size
    clip_width, clap_width = (t.model.config.projection_dim for t in (clip, clap))
    return Backbone(
        frame_size=int(size.get("shortest_edge") or size["height"]),
        frames_per_second=1,
        sound_rate=int(clap.prepare.sampling_rate),
        visual=partial(_images, clip),
        audio=partial(_sounds, clap),
        language=Language(
            f"{config.clip} and {config.clap}",
            lambda texts: np.concatenate([clip.texts(texts), clap.texts(texts)], axis=1),
            partial(_labeller, clip, clap),
        ),
        widths=(clap_width, clip_width, clip_width + clap_width),
    )


def _tower(kind: str, name: str, download: bool) -> Tower:
    """Load one model; ``kind`` is ``clip`` or ``clap``."""
    try:
        transformers = import_module("transformers")
    except ImportError as error:
        raise UserError(
            "--backbone clip-clap: needs transformers; install it with `pip install "
            "'mdft[clip-clap]'` or `uv sync --extra clip-clap`"
        ) from error
    model_class = {"clip": transformers.CLIPModel, "clap": transformers.ClapModel}[kind]
    auto = {"clip": transformers.AutoImageProcessor, "clap": transformers.AutoFeatureExtractor}
    local = {"local_files_only": not download}
    transformers.utils.logging.disable_progress_bar()
    try:
        found = transformers.AutoConfig.from_pretrained(name, **local)
        if found.model_type != kind:
            raise UserError(
                f"--{kind} {name}: a model of type {found.model_type}, expected a {kind.upper()} "
                "model"
            )
        model = model_class.from_pretrained(name, **local).eval()
        prepare = auto[kind].from_pretrained(name, **local)
        tokenise = transformers.AutoTokenizer.from_pretrained(name, **local)
    except UserError:
        raise
    except Exception as error:  # of many types: OSError, ValueError, SafetensorError, JSON's
        raise UserError(
            f"--{kind} {name}: cannot be loaded from this machine; get it with `hf download "
            f"{name}`, add --download, or name a folder with its files ({reason(error)[:200]})"
        ) from error
    known, pieces = model.config.text_config.vocab_size, len(tokenise)
    if not known / 2 < pieces <= known:  # transformers makes an empty tokeniser of no files
        raise UserError(
            f"--{kind} {name}: its tokeniser has {pieces} pieces, the model {known}; the files of "
            "the tokeniser are missing or of another model"
        )
    return Tower(model, prepare, tokenise)


@torch.no_grad()
def _images(clip: Tower, frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) uint8 RGB → (T, D) float32: CLIP's image embeddings, not scaled."""
    rows = []
    for start in range(0, len(frames), _BATCH):
        part = list(frames[start : start + _BATCH])
        pixels_B3HW = clip.prepare(images=part, return_tensors="pt")["pixel_values"]
        pooled_BD = clip.model.vision_model(pixel_values=pixels_B3HW).pooler_output
        rows.append(clip.model.visual_projection(pooled_BD))
    return torch.cat(rows).float().numpy()


@torch.no_grad()
def _sounds(clap: Tower, sound: np.ndarray) -> np.ndarray:
    """(T·rate,) float32 → (T, D) float32: CLAP's audio embeddings, not scaled."""
    rate = int(clap.prepare.sampling_rate)
    seconds = sound[: len(sound) // rate * rate].reshape(-1, rate)
    rows = []
    for start in range(0, len(seconds), _BATCH):
        part = list(seconds[start : start + _BATCH])
        given = clap.prepare(part, sampling_rate=rate, return_tensors="pt")
        pooled_BD = clap.model.audio_model(
            input_features=given["input_features"], is_longer=given["is_longer"]
        ).pooler_output
        rows.append(clap.model.audio_projection(pooled_BD))
    return torch.cat(rows).float().numpy()


def _labeller(clip: Tower, clap: Tower, names: Sequence[str], prompts: Sequence[str]) -> Labeller:
    """Softmax over the candidates of the cosines between a clip and the names' texts."""
    sides: dict[str, tuple[Callable[[Sequence[str]], np.ndarray], Tensor]] = {
        "audio": (clap.texts, clap.model.logit_scale_a),
        "visual": (clip.texts, clip.model.logit_scale),
    }
    classes = {m: prompted(encode, names, prompts) for m, (encode, _) in sides.items()}
    scales = {m: float(scale.exp()) for m, (_, scale) in sides.items()}

    def evidence(modality: str, x_TD: np.ndarray) -> Evidence:
        x_TD = x_TD / np.linalg.norm(x_TD, axis=1, keepdims=True)
        mean_D = x_TD.astype(np.float64).mean(axis=0)
        cosine_C = classes[modality].astype(np.float64) @ (mean_D / np.linalg.norm(mean_D))
        logits_C = scales[modality] * cosine_C
        top = logits_C.max()
        return Evidence(logits_C - top - np.log(np.exp(logits_C - top).sum()))

    def label(audio_TD: np.ndarray, visual_TD: np.ndarray) -> dict[str, Evidence]:
        return {"audio": evidence("audio", audio_TD), "visual": evidence("visual", visual_TD)}

    return label
