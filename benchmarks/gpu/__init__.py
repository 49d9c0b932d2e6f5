"""``python -m benchmarks.gpu``: what a GPU does with all of it, in nine minutes."""
