"""What the generated code is like, seen without a GPU: compiled ahead of time, counted, held against budgets."""
