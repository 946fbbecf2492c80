"""Runs models written in Python: a `TritonPythonModel` in `<version>/model.py`, as NVIDIA Triton's python backend runs them."""
