"""Evaluations for people: one HTML page over any number of runs, and a model card for each exported model."""
