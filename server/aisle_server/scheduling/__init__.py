"""Who runs when: direct, dynamic batching, ensembles."""
