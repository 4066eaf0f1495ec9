"""Tasks: one a file, its paper cited at the top."""
