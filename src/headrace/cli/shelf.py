"""Where an ingest of the command line puts its documents: the library's files and a store's index, in step.

The new file is in the index before anybody is shown it, and the old one is hidden before it leaves the index; what a
killed run leaves between two of these steps is cleared by the next run or by the gateway's sweep.
"""

from collections.abc import Collection, Iterator, Sequence

from headrace.cli.place import TENANT, Place
from headrace.contracts.errors import NotFound
from headrace.contracts.retrieval import Document, DocumentInfo, Index
from headrace.retrieval.chunk.sizes import Sizes
from headrace.retrieval.ingest.convert import read_file
from headrace.retrieval.ingest.job import PATH, Prepared
from headrace.retrieval.ingest.sources import Item, Source
from headrace.retrieval.library.records import Chunking, MemberRecord, NewMember


class LibraryShelf:
    """Implements ingest.job.Shelf for one store of the library."""

    def __init__(self, place: Place, store: str, index: Index, sizes: Sizes) -> None:
        self._library = place.library
        self._shown = {member.file for member in place.members(store) if member.status == "completed"}
        self._store = store
        self._index = index
        self._chunking = Chunking(sizes.max_tokens, sizes.overlap)

    def documents(self) -> Iterator[DocumentInfo]:
        """Tell of every document that is shown; what a killed run put into the index only is taken out first."""
        for info in list(self._index.documents()):
            if info.id in self._shown:
                yield info
            else:
                self._drop_unseen(info.id)

    def keep(self, prepared: Prepared, replaces: Sequence[str]) -> None:
        """Keep a document in place of those with these ids."""
        converted = prepared.converted
        record = self._library.files.keep(TENANT, converted.name, prepared.content)
        document = Document(
            record.id, converted.name, record.sha256, converted.text, prepared.chunks, prepared.attributes
        )
        self._index.put(document, prepared.vectors)
        size = len(converted.text.encode()) + sum(map(len, prepared.vectors))
        new = NewMember(record.id, prepared.attributes, self._chunking)
        self._library.shelves.adopt(TENANT, self._store, new, size)
        self._shown.add(record.id)
        for old in replaces:
            self.remove(old)

    def remove(self, document: str) -> None:
        """Remove a document: from every store that shows its file, and the file."""
        leaving = self._library.files.leave(TENANT, document)
        self._index.remove(document)
        for each in leaving:
            if each.store == self._store:
                self._library.shelves.gone(each)
        self._library.files.gone(document)
        self._shown.discard(document)

    def _drop_unseen(self, document: str) -> None:
        """Take out what nobody is shown, unless it is another's work that is not done yet."""
        try:
            self._library.shelves.get(TENANT, self._store, document)
        except NotFound:
            self._index.remove(document)


class StagedShelf:
    """Implements ingest.job.Shelf for an index that is being built beside the one that is searched."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def documents(self) -> Iterator[DocumentInfo]:
        """Tell of nothing: everything is done anew."""
        return iter(())

    def keep(self, prepared: Prepared, replaces: Sequence[str]) -> None:
        """Keep a document under the id of its file."""
        converted = prepared.converted
        document = Document(
            prepared.document,
            converted.name,
            converted.sha256,
            converted.text,
            prepared.chunks,
            prepared.attributes,
        )
        self._index.put(document, prepared.vectors)
        for old in replaces:
            self.remove(old)

    def remove(self, document: str) -> None:
        """Remove a document."""
        self._index.remove(document)


def kept_files(place: Place, store: str, *, without: Collection[str] = (), also: Collection[str] = ()) -> Source:
    """Return the files of a store that are shown, as they are kept, as a source of documents.

    without: ids that are left out. also: ids that are taken where they are on their way in, too.
    """
    members = [
        member
        for member in place.members(store)
        if member.file not in without
        and (member.status == "completed" or (member.status == "in_progress" and member.file in also))
    ]
    return Source(store, tuple(_kept(place, member) for member in members), lambda _: False)


def _kept(place: Place, member: MemberRecord) -> Item:
    record = place.library.files.get(TENANT, member.file)
    path = place.library.files.path(record)
    name = str(member.attributes.get(PATH, record.name))
    return Item(name, lambda limits: read_file(path, limits), document=record.id, attributes=member.attributes)
