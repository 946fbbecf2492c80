"""The Keras networks: image, text and fusion classifiers."""
