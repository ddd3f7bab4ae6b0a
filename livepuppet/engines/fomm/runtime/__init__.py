"""Runtimes: load an exported graph, run it, keep its arrays on the device."""
