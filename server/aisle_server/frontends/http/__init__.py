"""The HTTP frontend: health and metrics."""
