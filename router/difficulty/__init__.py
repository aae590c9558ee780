"""Judges a question before any model is called: hashed n-grams, cheap counts, one linear model, one calibration."""
