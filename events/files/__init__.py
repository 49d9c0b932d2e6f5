"""Files of events: h5, npz, and what event cameras record."""
