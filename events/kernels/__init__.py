"""Compiled loops of the event generation model (numba, without the GIL)."""
