"""livepuppet.vision."""
