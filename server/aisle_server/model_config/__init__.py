"""A model's config.pbtxt: parsed, completed, validated, and trusted from there on."""
