"""MDFT and the baselines behind one interface; see docs/baselines.md."""
