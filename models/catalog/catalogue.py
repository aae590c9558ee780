"""Loads the catalogue: every YAML file of this folder, or of another one, checked word by word."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final, cast, get_args

from headrace.contracts.errors import StoreError
from headrace.contracts.models import Capability, Price
from headrace.models.catalog.document import Located, nearest
from headrace.models.catalog.entry import (
    CatalogEntry,
    CatalogFile,
    Form,
    Gate,
    HfSource,
    Kind,
    Part,
    PypiSource,
    RecipeSpec,
    Source,
)

_SCHEMA: Final = 1
_COMMIT_DIGITS: Final = 40
_SUFFIXES: Final = (".gguf", ".safetensors", ".onnx", ".json")


class Catalogue:
    """The known models by id. Immutable, safe to share."""

    def __init__(self, entries: Iterable[CatalogEntry]) -> None:
        self._entries = {entry.id: entry for entry in entries}

    @classmethod
    def packaged(cls) -> "Catalogue":
        """Load the catalogue that ships with headrace."""
        return cls.load(resources.files("headrace.models.catalog"))

    @classmethod
    def load(cls, folder: Traversable) -> "Catalogue":
        """Load every *.yaml of a folder; ConfigError with file:line for what is wrong in one."""
        files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
        read = [(Located.parse(f.name, f.read_text(encoding="utf-8")), f.name) for f in files]
        entries = {name: read_entry(document, name) for document, name in read}
        known = {entry.id: entry for entry in entries.values()}
        for document, name in read:
            base = entries[name].base
            if base is not None and (base not in known or known[base].kind != "reference"):
                references = [entry.id for entry in known.values() if entry.kind == "reference"]
                raise document.fail(f"base {base!r} is no reference of this catalogue; {nearest(base, references)}")
        return cls(known.values())

    def get(self, model_id: str) -> CatalogEntry:
        """Return an entry; StoreError names the nearest known id."""
        if model_id not in self._entries:
            raise StoreError(f"no model {model_id!r} in the catalogue; {nearest(model_id, self._entries)}")
        return self._entries[model_id]

    def ids(self) -> tuple[str, ...]:
        """Return every id, sorted."""
        return tuple(sorted(self._entries))

    def reference_of(self, entry: CatalogEntry) -> CatalogEntry:
        """Return the reference an entry is made from (itself for a reference)."""
        return entry if entry.base is None else self.get(entry.base)


def read_entry(document: Located, file: str) -> CatalogEntry:
    """Read one entry; the file must be named after its id."""
    fields = document.fields(
        required=("schema", "id", "kind", "family", "parameters", "license", "context_tokens", "capabilities"),
        optional=(
            "price", "files", "base", "recipe", "gate", "served_bytes", "engine_args", "measured", "limits",
        ),
    )  # fmt: skip
    if fields["schema"].whole() != _SCHEMA:
        raise fields["schema"].fail(f"schema {_SCHEMA} is the only one this version reads")
    model_id = fields["id"].text()
    if f"{model_id}.yaml" != file:
        raise fields["id"].fail(f"id {model_id!r} must be the file's name; call the file {model_id}.yaml")
    kind = cast("Kind", fields["kind"].word(get_args(Kind)))
    _check_shape(document, kind, fields)
    return CatalogEntry(
        id=model_id,
        kind=kind,
        family=fields["family"].text(),
        parameters=fields["parameters"].whole(),
        license=fields["license"].text(),
        context_tokens=fields["context_tokens"].whole(),
        capabilities=frozenset(
            cast("Capability", c.word(get_args(Capability))) for c in fields["capabilities"].items()
        ),
        price=_price(fields["price"]) if "price" in fields else None,
        files=tuple(_file(item) for item in fields["files"].items()) if "files" in fields else (),
        base=fields["base"].text() if "base" in fields else None,
        recipe=_recipe(fields["recipe"]) if "recipe" in fields else None,
        gate=_gate(fields["gate"]) if "gate" in fields else None,
        served_bytes=fields["served_bytes"].whole() if "served_bytes" in fields else 0,
        engine_args=tuple(a.text() for a in fields["engine_args"].items()) if "engine_args" in fields else (),
        measured=_measured(fields["measured"]) if "measured" in fields else {},
        limits=tuple(limit.text() for limit in fields["limits"].items()) if "limits" in fields else (),
    )


def _check_shape(document: Located, kind: Kind, fields: Mapping[str, Located]) -> None:
    wanted = ("files",) if kind == "reference" else ("base", "recipe", "price", "served_bytes")
    refused = ("base", "recipe", "gate", "price") if kind == "reference" else ("files",)
    if kind == "compressed":
        wanted = (*wanted, "gate")
    for name in wanted:
        if name not in fields:
            raise document.fail(f"a {kind} entry needs {name!r}; add it")
    for name in refused:
        if name in fields:
            raise fields[name].fail(f"a {kind} entry has no {name!r}; remove it")


def _price(value: Located) -> Price:
    fields = value.fields(required=("input_usd_per_mtok", "output_usd_per_mtok"))
    return Price(fields["input_usd_per_mtok"].number(), fields["output_usd_per_mtok"].number())


def _file(value: Located) -> CatalogFile:
    fields = value.fields(required=("path", "sha256", "bytes", "sources"))
    path = fields["path"].text()
    if PurePosixPath(path).name != path or not path.endswith(_SUFFIXES):
        raise fields["path"].fail(f"{path!r} must be a plain name ending in one of {', '.join(_SUFFIXES)}")
    size = fields["bytes"].whole()
    sources = tuple(_source(item) for item in fields["sources"].items())
    if not sources:
        raise fields["sources"].fail("a file needs one source or more")
    for source in sources:
        joined = sum(part.size_bytes for part in source.parts) if isinstance(source, PypiSource) else size
        if joined != size:
            raise fields["sources"].fail(f"the parts hold {joined} bytes, the file {size}; correct one")
    return CatalogFile(path, fields["sha256"].sha256(), size, sources)


def _source(value: Located) -> Source:
    fields = value.fields(required=(), optional=("hf", "pypi"))
    if len(fields) != 1:
        raise value.fail("a source is either hf: or pypi:")
    if "pypi" in fields:
        return PypiSource(tuple(_part(item) for item in fields["pypi"].items()))
    named = fields["hf"].fields(required=("repository", "revision", "file"))
    revision = named["revision"].text()
    if len(revision) != _COMMIT_DIGITS or set(revision) - set("0123456789abcdef"):
        raise named["revision"].fail(f"revision {revision!r} must be a commit ({_COMMIT_DIGITS} hexadecimal digits)")
    return HfSource(named["repository"].text(), revision, named["file"].text())


def _part(value: Located) -> Part:
    fields = value.fields(required=("package", "wheel_sha256", "wheel_bytes", "member", "bytes"))
    package, _, version = fields["package"].text().partition("==")
    if not package or not version:
        raise fields["package"].fail(f"{fields['package'].text()!r} must read package==version")
    member = fields["member"].text()
    if member.startswith("/") or ".." in PurePosixPath(member).parts or "\\" in member:
        raise fields["member"].fail(f"member {member!r} must be a full path inside the wheel, without ..")
    return Part(
        package, version, fields["wheel_sha256"].sha256(), fields["wheel_bytes"].whole(), member,
        fields["bytes"].whole(),
    )  # fmt: skip


def _recipe(value: Located) -> RecipeSpec:
    fields = value.fields(required=("form",), optional=("tied", "template_edits"))
    edits: dict[str, str] = {}
    for item in fields["template_edits"].items() if "template_edits" in fields else ():
        edit = item.fields(required=("old", "new"))
        edits[edit["old"].text()] = edit["new"].text()
    form = cast("Form", fields["form"].word(get_args(Form)))
    return RecipeSpec(form, tied="tied" in fields and fields["tied"].truth(), template_edits=edits)


def _gate(value: Located) -> Gate:
    fields = value.fields(required=("max_kl_nats", "min_top1"))
    if fields["min_top1"].number() > Decimal(1):
        raise fields["min_top1"].fail("min_top1 is a share; 1 is the most")
    return Gate(float(fields["max_kl_nats"].number()), float(fields["min_top1"].number()))


def _measured(value: Located) -> dict[str, str]:
    names = (
        "kl_nats", "top1", "tokens", "served_bytes", "reference_bytes", "weights_sha256", "cosine_to_reference",
        "date", "method",
    )  # fmt: skip
    return {name: field.text() for name, field in value.fields(required=(), optional=names).items()}
