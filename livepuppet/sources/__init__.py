"""Sources: where driving frames come from."""
