"""First Order Motion Model networks in PyTorch: import, export and training. Never imported by the live path.

from livepuppet.engines.fomm.networks import checkpoint
from livepuppet.engines.fomm.networks.configuration import Configuration, Hourglass
from livepuppet.engines.fomm.networks.keypoints import Keypoints, relative_keypoints

model = checkpoint.build_model(Configuration(keypoints=16), align_corners=True)    fresh weights, training mode
model = checkpoint.load_checkpoint(path, configuration=checkpoint.load_configuration(yaml))    eval mode, float32, CPU
source = model.detector(picture)                           Keypoints of (B, C, H, W) in 0 ... 1
generated = model.generator(picture, source, driving)      .prediction, .motion.{deformation, occlusion, mask}
checkpoint.save_checkpoint(path, model, epoch=1)                      in the original project's layout
"""
