"""Text to vectors: an ONNX model in a worker process of its own, and the gateway's client of it."""
