"""Recognition of an event camera's recordings by a spiking network in Loihi's arithmetic."""
