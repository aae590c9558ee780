"""Stream an answer and show who gave it: `.venv/bin/python examples/stream.py "your question"`."""

import os
import sys

from openai import OpenAI

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8080/v1")
QUESTION = "What is the capital of France?"


def main() -> None:
    """Ask, print the routing headers, then the text as it comes."""
    client = OpenAI(base_url=URL, api_key=os.environ.get("HEADRACE_KEY", "unused-on-loopback"))
    stream = client.chat.completions.create(
        model="headrace/auto",
        messages=[{"role": "user", "content": " ".join(sys.argv[1:]) or QUESTION}],
        stream=True,
    )
    headers = stream.response.headers
    for name in ("tier", "model", "rule", "difficulty", "confidence", "attempts"):
        sys.stdout.write(f"{name}: {headers.get(f'x-headrace-{name}', '-')}\n")
    for chunk in stream:
        if chunk.choices:
            sys.stdout.write(chunk.choices[0].delta.content or "")
            sys.stdout.flush()
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
