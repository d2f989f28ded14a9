"""What a program may call by names."""

import enum


class Level(enum.Enum):
    LOW = "low"
    VERY_HIGH = 9
