"""The HTTP frontend: the inference protocol in JSON and binary, and metrics."""
