"""Names that two namespaces use at once: the second one's is stored with its namespace behind it.

Only who sees every namespace reads the stored form, `<name>␟<namespace>`. Whoever is limited to namespaces reads, and
writes, `<name>`, and so cannot tell that somebody else has one of that name. No name of a producer's holds the
separator: see `own_name`.
"""

from __future__ import annotations

from typing import Final

#: SYMBOL FOR UNIT SEPARATOR: it can be read, and stand in a URL.
SEPARATOR: Final = "\u241f"
#: Stands in its place where a producer's name has it.
_REPLACED: Final = "_"


def qualified(name: str, namespace: str) -> str:
    """How a namespace's name is stored where another namespace has that name already."""
    return f"{name}{SEPARATOR}{namespace}"


def shown(stored: str) -> str:
    """The name as whoever is limited to namespaces sees it."""
    return stored.partition(SEPARATOR)[0]


def own_name(name: str, namespace: str) -> str:
    """A name that came with an event of the namespace, without what might make it that of another one."""
    own, separator, of = name.partition(SEPARATOR)
    if not separator:
        return name
    return own if own and of == namespace else name.replace(SEPARATOR, _REPLACED)
