"""The report of a run: agreement, spikes, ranges and cost."""
