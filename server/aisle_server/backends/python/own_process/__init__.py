"""Python models in processes of their own: one process an instance, which may die without the server."""
