"""Run the authors' training steps, one at a time, in a separate process.

This file imports nothing of this project but ``authors_shims``, so that it can run in the authors'
environment. Its argument is :class:`benchmarks.authors_step.Settings` as JSON. It prints a line of
JSON about the model, then one for each line that it reads: the seconds of ``optimize_params``, and
those of a step of their loop (``optimize_params``, ``get_embeddings`` and the loss as a number).

In every checkout the modules are called ``src``; therefore a process can use only one checkout.
"""

from __future__ import annotations

import sys

import authors_shims as shims

sys.path.pop(0)  # this folder, whose profile.py would hide that of Python

import contextlib
import importlib
import json
import os
import time

import torch

#: From ``run_scripts/UCF-GZSL/avca.sh`` and ``--help``; without effect on the time of a step.
TRIPLETS = {"first_additional_triplet": 1, "second_additional_triplet": 1, "momentum": 0.1}


def _params(p, **own):
    """Return their settings: common ones from our configuration, and those of one system."""
    return importlib.import_module("src.utils_improvements").get_model_params(
        lr=p["learning_rate"],
        reg_loss=True,
        dropout_encoder=p["dropout_encoder"],
        dropout_decoder=p["dropout_projection"],
        additional_dropout=p["dropout_words"],
        encoder_hidden_size=p["hidden"],
        decoder_hidden_size=p["hidden"],
        **own,
    )


def tcaf(s):
    """Return TCaF and the arguments of its step: per-second features, no negatives."""
    p = s["hyper"]
    params = _params(
        p,
        embeddings_batch_norm=True,
        rec_loss=True,
        cross_entropy_loss=True,
        transformer_use_embedding_net=True,
        transformer_dim=p["dim"],
        transformer_depth=p["layers"],
        transformer_heads=p["heads"],
        transformer_dim_head=p["head"],
        transformer_mlp_dim=p["mlp"],
        transformer_dropout=p["dropout_transformer"],
        transformer_embedding_dim=p["place"],
        transformer_embedding_time_len=120,
        transformer_embedding_dropout=p["dropout_place"],
        transformer_embedding_time_embed_type="sinusoid",
        transformer_embedding_fourier_scale=p["time_scale"],
        transformer_embedding_embed_augment_position=False,
        lr_scheduler=False,
        optimizer="adam",
        use_self_attention=False,
        use_cross_attention=True,
        transformer_average_features=False,
        audio_only=False,
        video_only=False,
        transformer_use_class_token=True,
        transformer_embedding_modality=True,
    )
    module = importlib.import_module("src.model_sequence")
    model = module.Multimodal_Sequence_Transformer(params, s["width"], s["width"])
    model = model.to(s["device"])
    B, T = s["batch"], s["seconds"]
    audio, video = (torch.randn(B, T, s["width"], device=s["device"]) for _ in range(2))
    words = torch.randn(s["classes"], s["words"], device=s["device"])
    targets = torch.arange(B, device=s["device"]) % s["classes"]
    masks = {"audio": torch.ones(B, T), "video": torch.ones(B, T)}
    times = torch.arange(T, dtype=torch.float64).repeat(B, 1).numpy()
    times = {"audio": times, "video": times}
    given = audio, video, targets, words[targets], masks, times

    def optimize():
        return model.optimize_params(*given, embedding_crossentropy=words, optimize=True)

    return model, optimize, lambda: model.get_embeddings(*given[:2], *given[3:])


def avca(s, name="AVCA"):
    """Return AVCA or AVMST and the arguments of its step: averaged features, with negatives."""
    p = s["hyper"]
    params = _params(
        p,
        additional_triplets_loss=True,
        depth_transformer=p["layers"],
        **TRIPLETS,
    )
    model = getattr(importlib.import_module("src.model_improvements"), name)(
        params, input_size_audio=s["width"], input_size_video=s["width"]
    ).to(s["device"])
    B = s["batch"]
    clips = [torch.randn(B, s["width"], device=s["device"]) for _ in range(4)]
    words = [torch.randn(B, s["words"], device=s["device"]) for _ in range(2)]
    targets = torch.arange(B, device=s["device"]) % s["classes"]
    given = clips[0], clips[1], targets, words[0], clips[2], clips[3], words[1]

    def optimize():
        return model.optimize_params(*given, optimize=True)

    return model, optimize, lambda: model.get_embeddings(*given[:2], words[0])


def avmst(s):
    """Return AVMST; it imports SpikingJelly by its module name before 0.0.0.0.13."""
    return avca(s, "AVMST")


def _clock(device):
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def main():
    """Answer line by line."""
    settings = json.loads(sys.argv[1])
    sys.path.insert(0, settings["checkout"])
    os.chdir(settings["checkout"])
    torch.set_num_threads(settings["threads"])
    shims.accept_verbose()
    answers, sys.stdout = sys.stdout, sys.stderr  # their constructors print
    system = {"tcaf": tcaf, "avca": avca, "avmst": avmst}[settings["system"]]
    model, optimize, embed = system(settings)
    model.train()
    numbers = sum(p.numel() for p in model.parameters())
    print(json.dumps({"torch": torch.__version__, "parameters": numbers}), file=answers, flush=True)
    for _ in sys.stdin:
        start = _clock(settings["device"])
        loss, _ = optimize()
        step = _clock(settings["device"]) - start
        embed()
        loss.item()
        loop = _clock(settings["device"]) - start
        print(json.dumps({"step": step, "loop": loop}), file=answers, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
