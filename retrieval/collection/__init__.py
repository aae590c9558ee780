"""A collection on disk: one SQLite database that is the truth, its keyword search, and an index of its vectors."""
