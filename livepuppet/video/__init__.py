"""livepuppet.video."""
