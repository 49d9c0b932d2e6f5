"""Tests of the conformance matrix."""
