"""From a trained run to .nir graphs and probes that any simulator can be checked against."""
