"""Let the model call a tool: `.venv/bin/python examples/tools.py`."""

import os
import sys

from openai import OpenAI

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8080/v1")


def main() -> None:
    """Ask for the weather and print the call that comes back; its arguments are held until they are valid."""
    client = OpenAI(base_url=URL, api_key=os.environ.get("HEADRACE_KEY", "unused-on-loopback"))
    answer = client.chat.completions.create(
        model="headrace/auto",
        messages=[{"role": "user", "content": "What is the weather in Oslo?"}],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "The weather in a city.",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    },
                },
            }
        ],
    )
    for call in answer.choices[0].message.tool_calls or []:
        if call.type == "function":
            sys.stdout.write(f"{call.function.name}({call.function.arguments})\n")
    sys.stdout.write(f"answered by {answer.model}\n")


if __name__ == "__main__":
    main()
