"""Making a photo hard to animate, and measuring how far that got: the parts that need no neural network in PyTorch.

`landmarks` tries to mislead the face mesh, `departure` measures how far animations differ, `sheet` shows them. The attack on the
First Order Motion Model is in `livepuppet.protection.disturbance`.
"""
