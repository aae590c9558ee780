"""What `benchmarks.kernels_gpu` is made of: whom the kernels are timed against, whether they are right, the rows."""
