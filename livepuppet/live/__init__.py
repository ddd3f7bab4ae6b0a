"""The live loop: a webcam drives a puppet into sinks, the newest frame only, with everything that a person may adjust meanwhile."""
