"""Where a source file lies, in one line of text: a path or URL, and the member when it lies in a tar."""

import re

_ESCAPED = re.compile("%([0-9A-F]{2})")
# '#' separates the member, '%' escapes; control characters and undecodable bytes of file names
# (surrogates, in Python) fit in no text column.
_UNSAFE = re.compile("[#%\x00-\x1f\x7f\udc80-\udcff]")


def join_uri(location: str, member: str | None = None) -> str:
    """Writes a location as text that `split_uri` reads back exactly.

    `#`, `%`, control characters and bytes that are not UTF-8 are written as `%` and two hexadecimal digits; everything
    else, spaces and umlauts too, stays readable.

    Args:
        location: Absolute path, or URL with protocol.
        member: Name within the tar at `location`.

    Example:
        >>> join_uri("/photos/a#1.tar", "day 1/ä.jpg")
        '/photos/a%231.tar#day 1/ä.jpg'
    """
    return _escape(location) if member is None else f"{_escape(location)}#{_escape(member)}"


def split_uri(uri: str) -> tuple[str, str | None]:
    """Takes a URI apart into location and member (None for a file of its own)."""
    location, separator, member = uri.partition("#")
    return _unescape(location), _unescape(member) if separator else None


def _escape(text: str) -> str:
    return _UNSAFE.sub(lambda match: f"%{ord(match[0]) & 0xFF:02X}", text)


def _unescape(text: str) -> str:
    def original(match: re.Match[str]) -> str:
        code = int(match[1], 16)
        return chr(code) if code < 0x80 else chr(0xDC00 + code)

    return _ESCAPED.sub(original, text)
