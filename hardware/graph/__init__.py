"""NIR graphs: reading, checking, and what neurons and signals mean."""
