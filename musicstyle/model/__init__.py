"""The transformer autoencoder: ids and tensors only, nothing of music's own."""
