"""Nengo: its package has no NIR importer; the paper's is a script that no package contains."""

import importlib

PACKAGES = ("nengo", "nir")


def prepare():
    """Import the reader."""
    importlib.import_module("nengo")


def run(path, inputs, dt, option):
    """Return the values of each Output, (steps, …)."""
    importlib.import_module("nengo.nir")
    raise NotImplementedError("this Nengo has a module nengo.nir: write this adapter")
