"""One YAML text as plain values with the place of each; refuses what a config never needs.

Aliases, anchors, tags, merge keys, duplicate keys, several documents, deep nesting and large files are refused while
the events stream by, before any tree is built, so a hostile file costs no memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from headrace.gateway.settings.problems import Keys, Marks, Place, Problem, printable, render_path
from headrace.gateway.settings.scalars import BadScalar, Scalar, interpolate, refuse_surrogates, resolve

MAX_BYTES: Final = 262_144
MAX_DEPTH: Final = 32
MAX_NODES: Final = 20_000
_PLAIN_TAGS: Final = frozenset({None, "!"})


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a text, where its parts stand, which parts hold environment values, and what was wrong.

    `value` is None when the text could not be read to its end.
    """

    value: Any
    marks: Marks
    from_env: frozenset[Keys]
    problems: tuple[Problem, ...]


def read_text(file: Path) -> str | Problem:
    """Return the file's text, or the problem that kept it from being read."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as exc:
        return Problem(Place(file), "", f"cannot be read ({exc.strerror})", "check the path and its permissions")
    if len(data) > MAX_BYTES:
        return Problem(Place(file), "", f"the file is over {MAX_BYTES} bytes", "split it or remove what is not config")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        return Problem(Place(file, line), "", "the text is not UTF-8", "save the file as UTF-8")


def parse(text: str, file: Path, environ: Mapping[str, str]) -> Document:
    """Parse one YAML document whose top level is a mapping; what can be read is, the rest are problems."""
    builder = _Builder(file, environ)
    try:
        builder.run(text)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = Place(file) if mark is None else Place(file, mark.line + 1, mark.column + 1)
        what = printable(exc.problem or exc.context or "not YAML", limit=160)
        builder.stop(Problem(place, "", f"this is not YAML: {what}", "check indentation, quotes, brackets"))
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, int(exc.position)) + 1
        what = "a character that YAML does not allow"
        builder.stop(Problem(Place(file, line), "", what, "remove it or write it as an escape in quotes"))
    except _Refused as exc:
        builder.stop(exc.problem)
    except (ValueError, OverflowError):
        what = "an escape or a version number is out of range"
        builder.stop(Problem(builder.last_place, "", what, "check the escapes in quotes and the lines with `%`"))
    marks = Marks(file, builder.key_places, builder.value_places)
    if not builder.problems and not isinstance(builder.value, dict):
        builder.problems.append(
            Problem(
                marks.of_value(()), "", "the top level is not a mapping", "write `version: 1` and sections below it"
            )
        )
    return Document(builder.value, marks, frozenset(builder.from_env), tuple(builder.problems))


class _Refused(Exception):
    """Parsing stops here."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being filled; `key` is the one whose value comes next."""

    path: Keys
    container: dict[str, Any] | list[Any]
    key: str | None = None
    seen: set[str] = field(default_factory=set)


class _Builder:
    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.value: Any = None
        self.problems: list[Problem] = []
        self.key_places: dict[Keys, Place] = {}
        self.value_places: dict[Keys, Place] = {}
        self.from_env: set[Keys] = set()
        self._stack: list[_Frame] = []
        self._nodes = 0
        self._documents = 0
        self.last_place = Place(file)

    def stop(self, problem: Problem) -> None:
        self.problems.append(problem)
        self.value = None

    def run(self, text: str) -> None:
        for event in self._events(text):
            mark = event.start_mark
            place = Place(self.file) if mark is None else Place(self.file, mark.line + 1, mark.column + 1)
            self.last_place = place
            if isinstance(event, yaml.DocumentStartEvent):
                self._count_document(place)
            elif isinstance(event, yaml.NodeEvent):
                self._refuse_unsafe(event, place)
                self._take(event, place)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._stack.pop()

    @staticmethod
    def _events(text: str) -> Iterator[yaml.Event]:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)

    def _count_document(self, place: Place) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _Refused(Problem(place, "", "there is more than one document", "remove the `---` and what follows"))

    def _refuse_unsafe(self, event: yaml.NodeEvent, place: Place) -> None:
        path = render_path(self._next_path())
        self._nodes += 1
        if self._nodes > MAX_NODES or len(self._stack) > MAX_DEPTH:
            what = f"over {MAX_NODES} values" if self._nodes > MAX_NODES else f"nested deeper than {MAX_DEPTH}"
            raise _Refused(Problem(place, path, what, "a config is far smaller; remove what does not belong"))
        if event.anchor is not None:
            raise _Refused(Problem(place, path, "anchors and aliases are not read", "write the value out"))
        if getattr(event, "tag", None) not in _PLAIN_TAGS:
            raise _Refused(Problem(place, path, "YAML tags (`!...`) are not read", "write the plain value"))

    def _next_path(self) -> Keys:
        if not self._stack:
            return ()
        frame = self._stack[-1]
        if isinstance(frame.container, list):
            return (*frame.path, len(frame.container))
        return frame.path if frame.key is None else (*frame.path, frame.key)

    def _take(self, event: yaml.NodeEvent, place: Place) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            self._take_key(frame, event, place)
            return
        path = self._next_path()
        self.value_places[path] = place
        if isinstance(event, yaml.ScalarEvent):
            self._put(self._scalar(event, path, place))
            return
        container: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(container)
        self._stack.append(_Frame(path, container))

    def _take_key(self, frame: _Frame, event: yaml.NodeEvent, place: Place) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            what, cure = "a mapping key must be a word", "a list or mapping cannot be a key; check the brackets"
            raise _Refused(Problem(place, render_path(frame.path), what, cure))
        key = event.value
        if key == "<<":
            raise _Refused(Problem(place, render_path(frame.path), "merge keys (`<<`) are not read", "write them out"))
        try:
            refuse_surrogates(key)
        except BadScalar as exc:
            raise _Refused(Problem(place, render_path(frame.path), exc.what, exc.cure)) from exc
        path = (*frame.path, key)
        if key in frame.seen:
            self.problems.append(Problem(place, render_path(path), "the key stands twice", "keep one of the two"))
        else:
            self.key_places[path] = place
        frame.seen.add(key)
        frame.key = key

    def _put(self, value: Any) -> None:  # noqa: ANN401  (a YAML value is any plain value)
        if not self._stack:
            self.value = value
            return
        frame = self._stack[-1]
        if isinstance(frame.container, list):
            frame.container.append(value)
        elif frame.key is not None:
            frame.container[frame.key] = value
            frame.key = None

    def _scalar(self, event: yaml.ScalarEvent, path: Keys, place: Place) -> Scalar:
        is_plain = event.implicit[0] and event.tag is None
        try:
            refuse_surrogates(event.value)
            if "${" not in event.value:
                return resolve(event.value) if is_plain else str(event.value)
            found = interpolate(event.value, self.environ)
            if found.from_env:
                self.from_env.add(path)
            return resolve(found.text) if is_plain else found.text
        except BadScalar as exc:
            self.problems.append(Problem(place, render_path(path), exc.what, exc.cure))
            return None
