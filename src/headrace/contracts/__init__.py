"""The vocabulary every room shares: data classes, protocols and errors. Imports nothing else of headrace."""
