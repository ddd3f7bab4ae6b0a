"""From a checkpoint to ONNX and TorchScript: folded, joined, quantised, compared with PyTorch. Never imported by the live path."""
