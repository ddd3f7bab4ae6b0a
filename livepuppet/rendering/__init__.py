"""livepuppet.rendering.pipeline."""
