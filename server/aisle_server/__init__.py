"""A Triton-style gRPC model server in Python."""
