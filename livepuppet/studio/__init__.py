"""A running session seen from outside: an interface for programs, and the studio page in a browser (extra `studio`)."""
