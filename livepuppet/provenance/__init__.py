"""livepuppet.provenance."""
