"""One file a recipe: what to train, with which numbers, and the score to expect."""
