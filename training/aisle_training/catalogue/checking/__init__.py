"""Looking a catalogue over before it is trained on: what is double, contradictory, blank, rare or likely wrong."""
