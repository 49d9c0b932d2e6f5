"""From a trained run and a clip to labels, embeddings and explanations."""
