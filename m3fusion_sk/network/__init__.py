"""The torch side: encoders, fusion network, loss, batches, training and inference."""
