"""Training with several processes, devices, and reproducible computation."""
