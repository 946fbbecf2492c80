"""From a shop's catalogue to a model repository: import, split, train, evaluate, export."""
