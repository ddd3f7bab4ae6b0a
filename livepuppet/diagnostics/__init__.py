"""livepuppet.diagnostics."""
