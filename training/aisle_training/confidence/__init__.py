"""How far an answer can be trusted: levels of the category tree, thresholds, decisions, and unfamiliar products."""
