"""A YAML document read with its line numbers, so that every refusal says file:line, the value and the cure."""

import difflib
from collections.abc import Collection, Sequence
from decimal import Decimal, InvalidOperation

import yaml

from headrace.contracts.errors import ConfigError


class Located:
    """One value of a YAML document and where it stands. The typed readers raise ConfigError. Immutable."""

    def __init__(self, file: str, node: yaml.Node) -> None:
        self._file = file
        self._node = node

    @classmethod
    def parse(cls, file: str, text: str) -> "Located":
        """Parse a document; ConfigError for what is no YAML or is empty."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as exc:
            line = exc.problem_mark.line + 1 if exc.problem_mark else 1
            raise ConfigError(f"{file}:{line}: not YAML: {exc.problem}") from exc
        if node is None:
            raise ConfigError(f"{file}:1: the file is empty; a mapping is wanted")
        return cls(file, node)

    def fail(self, message: str) -> ConfigError:
        """Return the error that stands at this value."""
        return ConfigError(f"{self._file}:{self._node.start_mark.line + 1}: {message}")

    def fields(self, *, required: Collection[str], optional: Collection[str] = ()) -> dict[str, "Located"]:
        """Return the values of a mapping; unknown, repeated and missing keys are refused."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.fail("a mapping is wanted here")
        known = [*required, *optional]
        found: dict[str, Located] = {}
        for key_node, value_node in self._node.value:
            key = Located(self._file, key_node)
            name = key.text()
            if name not in known:
                raise key.fail(f"unknown key {name!r}; {nearest(name, known)}")
            if name in found:
                raise key.fail(f"key {name!r} stands twice; keep one")
            found[name] = Located(self._file, value_node)
        for name in required:
            if name not in found:
                raise self.fail(f"key {name!r} is missing; add it")
        return found

    def items(self) -> list["Located"]:
        """Return the values of a list."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.fail("a list is wanted here")
        return [Located(self._file, node) for node in self._node.value]

    def text(self) -> str:
        """Return a non-empty text."""
        if not isinstance(self._node, yaml.ScalarNode) or not self._node.value:
            raise self.fail("a text is wanted here")
        return str(self._node.value)

    def word(self, known: Sequence[str]) -> str:
        """Return one of the known words."""
        value = self.text()
        if value not in known:
            raise self.fail(f"{value!r} is not known; {nearest(value, known)}")
        return value

    def whole(self, *, at_least: int = 1) -> int:
        """Return a whole number."""
        value = self.text()
        if not value.lstrip("-").isdecimal() or int(value) < at_least:
            raise self.fail(f"{value!r} is not a whole number of at least {at_least}")
        return int(value)

    def number(self, *, at_least: str = "0") -> Decimal:
        """Return a decimal number as it is written."""
        value = self.text()
        try:
            number = Decimal(value)
        except InvalidOperation as exc:
            raise self.fail(f"{value!r} is not a number") from exc
        if not number.is_finite() or number < Decimal(at_least):
            raise self.fail(f"{value!r} is not a number of at least {at_least}")
        return number

    def truth(self) -> bool:
        """Return true or false."""
        return self.word(("true", "false")) == "true"

    def sha256(self) -> str:
        """Return a sha256 in lower-case hexadecimal."""
        value = self.text()
        if len(value) != 64 or set(value) - set("0123456789abcdef"):  # noqa: PLR2004  (digits of a sha256)
            raise self.fail(f"{value!r} is not a sha256 (64 lower-case hexadecimal digits)")
        return value


def nearest(word: str, known: Collection[str]) -> str:
    """Say which known word is meant, or which there are."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(sorted(known))}"
