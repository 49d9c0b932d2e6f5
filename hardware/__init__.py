"""Run an exported motion graph in NumPy and in Lava; reads .nir and .npz, nothing else."""
