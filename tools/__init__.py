"""What maintainers run in the repository: in the sdist, not in the wheel."""
