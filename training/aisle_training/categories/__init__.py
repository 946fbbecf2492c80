"""Categories that are added to a trained run from a few examples, without training it again."""
