"""Ask a Triton-style model server from Python: tensors in and out, or products in and categories out."""
