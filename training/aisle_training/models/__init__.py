"""The Keras networks: image, title and fusion classifier, and the layers that they share."""
