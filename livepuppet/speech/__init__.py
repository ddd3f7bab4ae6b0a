"""What a voice tells of a face: features, the small network that hears the mouth, and what head and eyes do meanwhile."""
