"""livepuppet.engines.fomm.export."""
