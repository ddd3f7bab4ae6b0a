"""The invisible mark in every output frame: "livepuppet, synthetic", and which session made it.

A spread-spectrum mark of our own on brightness alone (Cox et al., "Secure spread spectrum watermarking for multimedia", 1997):
`code` says what pattern a session has, `embedder` adds it to a frame, `reader` finds it again after codecs, scaling and cropping.
"""
