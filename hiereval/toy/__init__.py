"""The embedded default: a generated dataset, and a small model trained on it by contrast."""
