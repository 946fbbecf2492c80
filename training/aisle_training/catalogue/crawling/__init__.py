"""Crawling a product API into a catalogue, a product at a time, so that nothing is lost when it is cut off."""
