"""Predicts how well each model would answer a question, from the shape of the question alone."""
