"""What products are told by: an encoder for each kind of modality, from the catalogue to the served model."""
