"""Payment card numbers in text: 13 to 19 digits of a known issuer that pass the Luhn check (ISO/IEC 7812-1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

#: In one piece, or in the groups in which cards show it (4-4-4-4, 4-6-5, …) with one kind of separator. Groups of
#: other lengths are not taken: a UUID of digits alone has such.
_SHAPE: Final = re.compile(
    r"(?<![0-9A-Za-z_])(?<![0-9]\.)"
    r"(?:[2-6][0-9]{12,18}"
    r"|[2-6][0-9]{3}([ -])(?:[0-9]{6}\1[0-9]{4,5}|[0-9]{4}\1[0-9]{4}\1(?:[0-9]{4}\1[0-9]{1,3}|[0-9]{1,7})))"
    r"(?![0-9A-Za-z_])(?!\.[0-9])",
    re.ASCII,
)
#: Prefixes of Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay and Maestro, each with its lengths.
_ISSUER: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11,16}"
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}"
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"
    r"|62[0-9]{14,17}"
    r"|(?:50|5[6-9]|6[379])[0-9]{11,17}",
    re.ASCII,
)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
#: In JSON text a letter or digit before the number may be the end of an escape: `\n4111…`, `\u00e94111…`.
GATE: Final = r"(?:^|[^0-9A-Za-z_.]|(?:^|[^0-9])\.|\\[bfnrt]|\\u[0-9A-Fa-f]{4})[2-6][0-9]{3}(?:[ \-]?[0-9]){9}"


def cards_in(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers stand in `text`."""
    at = 0
    while (found := _SHAPE.search(text, at)) is not None:
        if is_card(found[0].replace(" ", "").replace("-", "")):
            yield found.span()
            at = found.end()
        else:
            # The number may start at a later group of this run.
            at = found.start() + 1


def is_card(digits: str) -> bool:
    """Of a known issuer, with that issuer's length, and with the right check digit."""
    if _ISSUER.fullmatch(digits) is None:
        return False
    numbers = [ord(digit) - 48 for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10 == 0
