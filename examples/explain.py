"""Show how questions would be routed, without calling a model: `.venv/bin/python examples/explain.py`."""

import json
import os
import sys
import urllib.request

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8080/v1")
QUESTIONS = (
    "What is the capital of France?",
    "A tank fills in 3 hours and drains in 5. How long does it take to fill with both taps open?",
    "Write a Python function that merges two sorted lists.",
)


def main() -> None:
    """Ask for the plan of each question."""
    for question in QUESTIONS:
        body = {"model": "headrace/auto", "messages": [{"role": "user", "content": question}]}
        request = urllib.request.Request(  # noqa: S310  (the URL is the operator's own)
            f"{URL}/headrace/explain",
            json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {os.environ.get('HEADRACE_KEY', 'unused')}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  (same)
            sys.stdout.write(f"{question}\n{json.dumps(json.load(answer), indent=2)}\n\n")


if __name__ == "__main__":
    main()
