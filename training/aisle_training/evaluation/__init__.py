"""How a trained run does on its test split, as data: `evaluation.json`."""
