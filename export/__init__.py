"""Export a trained run to .nir graphs, with probes to check any simulator."""
