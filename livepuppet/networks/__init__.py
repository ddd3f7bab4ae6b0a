"""First Order Motion Model networks in PyTorch: import, export and training. Never imported by the live path."""
