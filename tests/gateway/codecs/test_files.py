import pytest
from openai.types import FileObject

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.codecs.files import UploadOrder, download_headers, read_upload, render_file
from headrace.retrieval.library.records import FileRecord


def record(name: str = "a.txt") -> FileRecord:
    return FileRecord("file-1", "a", name, "assistants", 5, "0" * 64, 100, 200)


def test_the_fields_of_an_upload_are_read() -> None:
    assert read_upload({"purpose": "assistants"}) == UploadOrder("assistants", None)
    expiring = {"purpose": "user_data", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    assert read_upload(expiring) == UploadOrder("user_data", 3600)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "purpose"),
        ({"purpose": "fine-tune"}, "purpose"),
        ({"purpose": ""}, "purpose"),
        ({"purpose": "assistants", "owner": "b"}, "owner"),
        ({"purpose": "assistants", "expires_after[seconds]": "3600"}, "expires_after"),
        ({"purpose": "assistants", "expires_after[anchor]": "created_at"}, "expires_after"),
        *(
            (
                {"purpose": "assistants", "expires_after[anchor]": "created_at", "expires_after[seconds]": s},
                "expires_after",
            )
            for s in ("3599", "2592001", "-1", "1e4", "\u0663\u0663\u0663\u0663", "")
        ),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_upload(fields)
    assert refused.value.param == param


def test_a_file_is_shown_as_the_official_client_reads_it() -> None:
    shown = FileObject.model_validate(render_file(record()), strict=True)
    assert (shown.id, shown.filename, shown.expires_at, shown.status) == ("file-1", "a.txt", 200, "processed")
    assert set(render_file(record())) == set(FileObject.model_fields)


@pytest.mark.parametrize("name", ["a.txt", 'a".html', "a;b\\c.html", "\u30ec\u30dd\u30fc\u30c8.pdf", "x" * 255])
def test_no_name_breaks_out_of_the_headers_of_a_download(name: str) -> None:
    headers = dict(download_headers(record(name)))
    disposition = headers[b"content-disposition"].decode("ascii")
    assert disposition.startswith('attachment; filename="')
    assert disposition.count('"') == 2
    assert headers[b"content-type"] == b"application/octet-stream"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"sandbox" in headers[b"content-security-policy"]
