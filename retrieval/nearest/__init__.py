"""Finding the nearest vectors with FAISS; all that is kept here can be made again from where the vectors lie."""
