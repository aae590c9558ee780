"""`python -m headrace.models.build`: one request as JSON on standard input, progress and result as JSON lines out.

The store starts it in the engine's environment; a HeadraceError becomes a last line {"error": …} and exit code 1.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from headrace.contracts.errors import HeadraceError, StoreError

_TELL_EVERY_S: Final = 0.1


class Teller:
    """Writes progress lines, a few a second at most."""

    def __init__(self) -> None:
        self._last = 0.0

    def tell(self, step: str, done: int, total: int) -> None:
        """Say where a step stands."""
        now = time.monotonic()
        if done >= total or now - self._last >= _TELL_EVERY_S:
            self._last = now
            say({"step": step, "done": done, "total": total})


def say(line: dict[str, Any]) -> None:
    """Write one JSON line at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def run(request: dict[str, Any], teller: Teller) -> dict[str, Any]:
    """Do one request and return its result. Torch is imported by the branch that needs it.

    Fields: form, files (name -> path), folder, tied, template_edits, max_tokens, measure.
    """
    files = {name: Path(path) for name, path in request["files"].items()}
    folder = Path(request["folder"])
    if request["form"] == "onnx":
        from headrace.models.build.sentence_encoder import build_sentence_encoder  # noqa: PLC0415

        cosine = build_sentence_encoder(files, folder, max_tokens=request["max_tokens"])
        return {"cosine_to_reference": round(cosine, 8)}
    from headrace.models.build.checkpoint import CheckpointRequest, build_checkpoint  # noqa: PLC0415
    from headrace.models.build.recipes import recipe_for  # noqa: PLC0415

    checkpoint = CheckpointRequest(
        source=files["model.gguf"],
        folder=folder,
        recipe=recipe_for(request["form"]),
        is_tied=request["tied"],
        template_edits=request["template_edits"],
    )
    built = build_checkpoint(checkpoint, lambda done, total: teller.tell("import", done, total))
    result: dict[str, Any] = {"parameters": built.parameters, "weights_sha256": built.weights_sha256}
    if request["measure"] and request["form"] != "bf16":
        from headrace.models.build.measure import measure_form  # noqa: PLC0415

        figures = measure_form(checkpoint, lambda done, total: teller.tell("measure", done, total))
        result["measured"] = figures.as_dict()
    return result


def main() -> int:
    """Read the request, do it, and return the exit code."""
    try:
        say({"result": run(json.load(sys.stdin), Teller())})
    except HeadraceError as exc:
        say({"error": exc.message})
    except KeyError as exc:
        say({"error": StoreError(f"the build request has no field {exc}").message})
    else:
        return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
