"""Measures answers from documents on a running gateway: questions, the API client, scores, and the files of a run."""
