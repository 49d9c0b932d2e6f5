"""Sweeps over configurations and seeds, the paper's ablations, and their reports."""
