"""Datasets: the embedded benchmark and the readers of what is on disk."""
