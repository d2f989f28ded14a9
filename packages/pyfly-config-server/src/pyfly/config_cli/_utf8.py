"""Texts of the operating system, which are UTF-8 in every locale."""

import os


def as_utf8(text: str) -> str | None:
    r"""Return an argument or a variable as UTF-8, `None` when it is something else.

    In a locale without UTF-8, and for bytes that are not UTF-8, Python hands out surrogates.

    >>> as_utf8("\udcc3\udca4"), as_utf8("\udcff"), as_utf8("a")
    ('ä', None, 'a')
    """
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return None
