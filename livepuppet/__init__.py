"""livepuppet: bring a still portrait to life with your webcam, in real time."""

from livepuppet.version import __version__

__all__ = ["__version__"]
