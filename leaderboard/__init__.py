"""Boards and exports: pure functions of records. Rows from strangers are hostile until escaped."""
