"""What executes a model: ONNX Runtime, TensorFlow, Python, identity."""
