"""A conformance matrix of NIR readers on small golden graphs."""
