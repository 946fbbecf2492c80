"""From a run folder to a model repository that a Triton-style server loads as it is."""
