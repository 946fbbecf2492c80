"""Protocol stubs. Written by protos/generate.py, never edited."""
