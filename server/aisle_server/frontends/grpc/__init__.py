"""The gRPC frontend: Triton's GRPCInferenceService and the standard health service."""
