"""The two-stage protocol: trainer, steps, batches, evaluation and checkpoints."""
