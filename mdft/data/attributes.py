"""The names that classes of the embedded benchmark are composed of, and its scenes."""

#: An object's index is the shape that the drawing kernel draws.
OBJECTS = (
    "striped_ball",
    "checkered_box",
    "spotted_star",
    "sectored_ring",
    "halved_cross",
    "banded_triangle",
)
#: Hue of each object, in turns.
HUES = (0.01, 0.15, 0.32, 0.50, 0.64, 0.83)

#: Clockwise is as seen on the screen, where y points down.
MOTIONS = (
    "bounces",
    "orbits_ccw",
    "orbits_cw",
    "pulses",
    "spins",
    "sweeps",
    "swings",
    "zigzags",
)

SOUNDS = ("bells", "chirps", "clicks", "hiss", "hum", "siren")

SCENES = (
    "bricks",
    "clouds",
    "dunes",
    "leaves",
    "meadow",
    "night",
    "planks",
    "sea",
    "tiles",
    "windows",
)
