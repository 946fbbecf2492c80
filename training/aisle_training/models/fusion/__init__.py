"""The fusion classifiers: what a product's inputs say together, a module for each kind."""
