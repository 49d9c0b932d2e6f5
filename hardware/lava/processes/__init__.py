"""Our own Lava processes, alone in a package: Lava executes every module beside them."""
