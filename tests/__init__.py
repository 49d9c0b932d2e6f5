"""The tests, a package so that its name is ours: lava-nc installs one of the same name."""
