"""The embedded benchmark: rendered clips with sound."""
