"""Event files: h5, npz, and the recordings of event cameras."""
