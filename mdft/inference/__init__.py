"""Predict labels, compute embeddings and explain predictions with a trained run."""
