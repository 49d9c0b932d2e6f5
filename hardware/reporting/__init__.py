"""The HTML report on a graph: agreement, spikes, ranges and cost."""
