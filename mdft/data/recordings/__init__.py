"""Recordings of event cameras: datasets of Tonic and folders, as bins of event counts."""
