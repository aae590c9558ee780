"""Trains, evaluates and calibrates the router. Needs the `train` extra; never imported when serving."""
