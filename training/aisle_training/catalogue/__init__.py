"""Where data comes from: importers, checks, splits."""
