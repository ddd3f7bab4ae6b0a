"""Engines: how a portrait is moved. Each one is a room of its own; none knows another."""
