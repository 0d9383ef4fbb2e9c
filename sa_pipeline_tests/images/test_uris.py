"""URIs of source files."""

import pytest
from hypothesis import given, strategies

from sa_pipeline.images.uris import join_uri, split_uri

# File names of any bytes arrive as text with low surrogates (os.fsdecode).
names = strategies.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | strategies.text(
    strategies.sampled_from("a #%2350?&/.ä漢\n")
)


@given(names, strategies.none() | names)
def test_any_name_comes_back_exactly_and_fits_in_utf_8(location, member):
    uri = join_uri(location, member)
    uri.encode("utf-8")
    assert split_uri(uri) == (location, member)


@pytest.mark.parametrize(
    ("location", "member", "uri"),
    [
        ("/photos/my cat.jpg", None, "/photos/my cat.jpg"),
        ("/photos/ä.tar", "day 1/漢.jpg", "/photos/ä.tar#day 1/漢.jpg"),
        ("/photos/a#1.tar", "50%.jpg", "/photos/a%231.tar#50%25.jpg"),
        ("s3://bucket/a.jpg", None, "s3://bucket/a.jpg"),
    ],
)
def test_ordinary_names_stay_readable(location, member, uri):
    assert join_uri(location, member) == uri
