"""Makes livepuppet/speech/mouth_model.npz: the small network that hears what a mouth does, taught by synthetic voices alone."""
