"""What type the bytes of a request are of."""

import base64

import pytest

from responses_mw.adapters.media import read_data_url, read_file_data, type_of_url
from responses_mw.errors import UnsupportedByProvider


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:image/PNG;base64,aGk=", ("image/png", "aGk=")),
        ("DATA:text/plain;charset=utf-8;base64,aGk=", ("text/plain", "aGk=")),
        ("data:text/plain,h%C3%A9", ("text/plain", base64.b64encode("hé".encode()).decode())),
        ("data:;base64,aGk=", ("text/plain", "aGk=")),
    ],
)
def test_data_url_is_read(url: str, expected: tuple[str, str]) -> None:
    assert read_data_url(url) == expected
    assert read_file_data(url, "a.pdf") == expected


def test_data_url_without_data_is_refused() -> None:
    with pytest.raises(UnsupportedByProvider, match="data:TYPE;base64,DATA"):
        read_data_url("data:image/png")


@pytest.mark.parametrize(
    ("data", "filename", "media_type"),
    [
        ("JVBERi0xLjQK", "a.txt", "application/pdf"),
        ("iVBORw0KGgo=", None, "image/png"),
        ("/9j/4AAQ", None, "image/jpeg"),
        ("aGk=", "a.csv", "text/csv"),
        ("aGk=", "a.unheard-of", "text/plain"),
        ("aGk=", None, "text/plain"),
    ],
)
def test_bare_data_is_of_the_type_that_it_shows(
    data: str, filename: str | None, media_type: str
) -> None:
    assert read_file_data(data, filename) == (media_type, data)


def test_address_says_a_type_by_the_ending_of_its_path() -> None:
    assert type_of_url("https://e.org/a.pdf?x=.png") == "application/pdf"
    assert type_of_url("https://e.org/a") is None
