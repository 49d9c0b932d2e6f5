"""Read, check and lower NIR graphs."""
