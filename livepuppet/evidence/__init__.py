"""Evidence for films that nobody marked: tests with measured error rates, and no verdict."""
