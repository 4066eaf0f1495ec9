"""Adapters: one backend a file, heavy imports inside functions."""
