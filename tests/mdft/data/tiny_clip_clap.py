"""Tiny CLIP and CLAP models of random weights, saved in the hub's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch


def write_models(folder: Path, transformers: Any) -> tuple[Path, Path]:
    """Save a CLIP and a CLAP model, with tokenisers and pre-processing; return their folders."""
    torch.manual_seed(0)
    clip, clap = folder / "clip", folder / "clap"
    _write_clip(clip, transformers)
    _write_clap(clap, transformers)
    return clip, clap


def _letters() -> list[str]:
    return [chr(c) for c in range(33, 127)]


def _write_clip(folder: Path, t: Any) -> None:
    pieces = _letters() + [f"{c}</w>" for c in _letters()] + ["<|startoftext|>", "<|endoftext|>"]
    text = {
        **{"vocab_size": len(pieces), "hidden_size": 16, "intermediate_size": 24},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 77},
        **{"bos_token_id": len(pieces) - 2, "eos_token_id": len(pieces) - 1},
        "pad_token_id": len(pieces) - 1,
    }
    vision = {
        **{"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "image_size": 32, "patch_size": 8},
    }
    config = t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    t.CLIPModel(config).eval().save_pretrained(folder)
    _write_vocabulary(folder, pieces)
    t.CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    t.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)


def _write_clap(folder: Path, t: Any) -> None:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *_letters(), "Ġ"]
    text = {
        **{"vocab_size": len(pieces), "hidden_size": 16, "intermediate_size": 24},
        **{"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 80},
        "projection_dim": 10,
    }
    audio = {
        **{"hidden_size": 32, "patch_embeds_hidden_size": 4, "depths": [1, 1, 1, 1]},
        **{"num_attention_heads": [1, 1, 2, 2], "spec_size": 128, "window_size": 2},
        **{"num_mel_bins": 32, "projection_dim": 10, "projection_hidden_size": 10},
    }
    config = t.ClapConfig(text_config=text, audio_config=audio, projection_dim=10)
    t.ClapModel(config).eval().save_pretrained(folder)
    _write_vocabulary(folder, pieces)
    t.RobertaTokenizer.from_pretrained(folder).save_pretrained(folder)
    t.ClapFeatureExtractor(
        feature_size=32, sampling_rate=8000, hop_length=128, fft_window_size=256, max_length_s=2,
        frequency_min=50, frequency_max=4000, truncation="rand_trunc", padding="repeatpad",
    ).save_pretrained(folder)  # fmt: skip


def _write_vocabulary(folder: Path, pieces: list[str]) -> None:
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
