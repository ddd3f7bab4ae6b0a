"""The neural engine: a First Order Motion Model moves the portrait (Siarohin et al., NeurIPS 2019).

engine.py      the engine itself
crop.py        what part of a picture the model is shown
motion.py      keypoints as motions: relative, absolute, limited
paste.py       the model's small square back into the full-resolution portrait
"""

from livepuppet.engines.fomm.engine import FommEngine

__all__ = ["FommEngine"]
