"""Lava processes of this project, in a package of their own: Lava imports all modules in it."""
