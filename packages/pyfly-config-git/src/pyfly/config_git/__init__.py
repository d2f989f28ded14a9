"""Configuration in a Git repository: a label is a branch, a tag or a commit."""

from pyfly.config_git._backend import GitConfigBackend
from pyfly.config_git._location import GitLocation

__all__ = ["GitConfigBackend", "GitLocation"]
