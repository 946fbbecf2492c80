"""All the numbers of a training run, by name."""
