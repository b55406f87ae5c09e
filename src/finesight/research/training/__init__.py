"""Training: what is seen and said, losses, the visible loop, checkpoints, export to ONNX."""
