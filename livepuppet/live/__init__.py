"""livepuppet.live."""
