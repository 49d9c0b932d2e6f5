"""Motion-Decoupled Spiking Transformer for audio-visual zero-shot learning."""
