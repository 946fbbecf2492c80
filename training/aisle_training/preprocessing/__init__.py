"""Pictures and titles to tensors: one implementation, used in training and shipped into the model repository."""
