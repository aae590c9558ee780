"""Attention over chosen blocks of a paged key-value cache: lists of blocks, and the kernels that follow them."""
