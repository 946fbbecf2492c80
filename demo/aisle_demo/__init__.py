"""A Gradio page over a running server: ask it about a product and look at the answer."""
