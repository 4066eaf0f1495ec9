"""Probes: what turns embeddings into a Space, learning-free or trained."""
