"""Turns fetched files into folders an engine serves. Runs in the engine's environment, as `python -m` of this package.

Only here and in the kernels is torch imported; the store starts this package as a subprocess and never imports it.
"""
