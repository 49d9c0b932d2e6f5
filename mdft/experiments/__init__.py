"""Many runs at once: sweeps over configurations and seeds, and the paper's ablations."""
