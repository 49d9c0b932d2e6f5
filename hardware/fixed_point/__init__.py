"""Integers of Loihi's arithmetic: quantisation, and the NumPy simulator of it."""
