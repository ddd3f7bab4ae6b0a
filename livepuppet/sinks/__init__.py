"""Sinks: where finished frames go."""
