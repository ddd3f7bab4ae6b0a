"""The preview window: the picture, and beside it what only the person in front of it may see."""

from livepuppet.sinks.window.compose import compose_window
from livepuppet.sinks.window.display import display_available, display_trouble
from livepuppet.sinks.window.highgui import Window

__all__ = ["Window", "compose_window", "display_available", "display_trouble"]
