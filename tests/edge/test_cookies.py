"""What the edge reads of cookies is what everybody behind it reads."""

from __future__ import annotations

import pytest
from starlette.requests import cookie_parser

from subscription_services.web.origin import read_cookies


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ([b"a=1; b=2"], {"a": "1", "b": "2"}),
        ([b"a=1", b"b=2"], {"a": "1", "b": "2"}),  # as HTTP/2 splits them
        ([b'a="1"; b='], {"a": "1", "b": ""}),
        ([b"a=1; a=2"], {"a": "1"}),
        ([b"__Host-session=1; __Host-session=2; a=3"], {"a": "3"}),
        ([b"__Host-session=1", b"__Host-session=1"], {}),
        ([b"__Host-session=1; \xa0__Host-session=2"], {"__Host-session": "1"}),
        ([b"\x85__Host-session=2; \x1f__Host-visit=3; \xe2\x80\x80__Host-bound=4"], {}),
        ([b"=__Host-session=2; __Host-session; __Host-session =3"], {}),
        ([b";;; ;a=1;"], {"a": "1"}),
        ([b"__Host-session=1=2"], {"__Host-session": "1=2"}),
        ([b""], {}),
    ],
)
def test_the_edge_and_the_application_read_the_same(sent: list[bytes], found: dict[str, str]) -> None:
    headers = [(b"host", b"localhost"), *((b"cookie", value) for value in sent)]
    read, left = read_cookies(headers)
    behind: dict[str, str] = {}
    for name, value in left:
        if name == b"cookie":
            behind.update(cookie_parser(value.decode("latin-1")))
    assert {name: text for name, text in read.items() if name} == found
    assert {name: text for name, text in behind.items() if name} == found
    assert (b"host", b"localhost") in left


def test_plain_cookies_are_passed_on_as_they_came() -> None:
    headers = [(b"cookie", b"__Host-session=1; __Host-bound=2; other=3")]
    assert read_cookies(headers)[1] is headers
