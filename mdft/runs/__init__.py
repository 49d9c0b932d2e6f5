"""A run's folder: configuration, weights, preprocessing and results."""
