"""Models on disk and their lives: layout, loading, versions, states."""
