"""The landmark engine: one room per task (retarget, mesh, raster, eyes, mouth, background); `LandmarkEngine` ties them together."""

from livepuppet.engines.landmark.engine import LandmarkEngine

__all__ = ["LandmarkEngine"]
