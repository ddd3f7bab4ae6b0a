"""What `doctor` and `bench` look at: cameras, displays, inference, speed, and how to set up a virtual camera."""
