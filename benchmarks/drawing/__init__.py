"""Parts of the plots: what is taken from result files, and how it is drawn."""
