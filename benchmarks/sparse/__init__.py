"""What sparse attention costs a real model in quality: the pieces of benchmarks/sparse_quality.py.

For the engine's environment: torch, transformers and the kernels' torch path on a CPU.
"""
