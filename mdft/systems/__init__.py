"""The field's baselines and ours behind one interface; see docs/baselines.md."""
