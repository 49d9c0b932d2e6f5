"""Networks in Intel's Lava and lava-dl, on its own runtime or inline."""
