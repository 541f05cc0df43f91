"""What traces and logs share: the walk request → resource → scope → record, in either encoding."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from google.protobuf.message import Message

from ark_broker.model.errors import BadInput, TooLarge
from ark_broker.receive.fields import camel
from ark_broker.receive.otlp import schema
from ark_broker.receive.otlp.canonical import Allowance, Attributes, Json, TooManyValues, plain_attributes
from ark_broker.receive.otlp.encoding import Encoding, parse_protobuf
from ark_broker.receive.otlp.from_json import from_json, within
from ark_broker.receive.otlp.from_protobuf import from_protobuf
from ark_broker.receive.otlp.pieces import Cutter

MAX_RECORDS: Final = 100_000
_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}").fullmatch
_SPAN_ID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}").fullmatch
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*").fullmatch


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the records are in one signal's requests."""

    request: type[Message]
    resources: str
    scopes: str
    records: str
    record: schema.Message
    #: Keys of the other signals: a request with only those was sent to the wrong path.
    elsewhere: dict[str, str]

    @property
    def keys(self) -> list[tuple[str, str]]:
        return [(camel(name), name) for name in (self.resources, self.scopes, self.records)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Resource and scope of a record: their attributes, and the start of its body, encoded once for all of them."""

    resource: Attributes
    scope: Attributes
    scope_name: str
    prefix: bytes

    def body(self, key: bytes, record: Json) -> bytes:
        """The stored body of one record."""
        return self.prefix + b'"' + key + b'":' + orjson.dumps(record) + b"}"


def make_origin(resource: Json | None, resource_url: str, scope: Json | None, scope_url: str) -> Origin:
    """Origin of canonical resource and scope."""
    parts: Json = {}
    if resource is not None:
        parts["resource"] = resource
    if resource_url:
        parts["resourceSchemaUrl"] = resource_url
    if scope is not None:
        parts["scope"] = scope
    if scope_url:
        parts["scopeSchemaUrl"] = scope_url
    encoded = orjson.dumps(parts)
    return Origin(
        resource=plain_attributes((resource or {}).get("attributes", [])),
        scope=plain_attributes((scope or {}).get("attributes", [])),
        scope_name=(scope or {}).get("name", ""),
        prefix=encoded[:-1] + (b"," if parts else b""),
    )


#: A record in canonical form, its attributes as plain values, and where it comes from.
Record = tuple[Json, Attributes, Origin]


@dataclass(slots=True)
class Rejections:
    """Records that were left out, and the first reason."""

    count: int = 0
    first: str = ""

    def add(self, reason: str) -> None:
        """One more."""
        self.count += 1
        self.first = self.first or reason

    @property
    def message(self) -> str:
        """For the partial success."""
        if not self.count:
            return ""
        return f"{self.count} rejected; the first: {self.first}"


@dataclass(slots=True)
class Walk:
    """Records of one request, canonical, each with its origin. Counts them against a limit.

    Records that cannot be kept are counted in `rejections` and left out.
    """

    layout: Layout
    max_records: int
    rejections: Rejections = field(default_factory=Rejections)
    _count: int = field(default=0)

    def records(self, body: bytes, encoding: Encoding) -> Iterator[Record]:
        """Every record, in order. Raises BadInput, or TooLarge where there are too many."""
        cutter = Cutter(self.max_records, self.rejections.add)
        if encoding == "protobuf":
            for piece in cutter.protobuf(body, self.layout.request.DESCRIPTOR):
                yield from self._from_protobuf(piece)
        else:
            for number, value in enumerate(cutter.json(body, self.layout.keys)):
                yield from self._from_json(value, first=number == 0)

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > self.max_records:
            raise TooLarge(f"more than {self.max_records} records in one request: send smaller batches", "body")

    def _from_protobuf(self, piece: bytes) -> Iterator[Record]:
        request = self.layout.request()
        parse_protobuf(request, piece)
        for group in getattr(request, self.layout.resources):
            resource = _part(group.resource, schema.RESOURCE, from_protobuf) if group.HasField("resource") else None
            for part in getattr(group, self.layout.scopes):
                scope = _part(part.scope, schema.SCOPE, from_protobuf) if part.HasField("scope") else None
                origin = make_origin(resource, group.schema_url, scope, part.schema_url)
                records = getattr(part, self.layout.records)
                self._add(len(records))
                for record in records:
                    attributes: Attributes = {}
                    try:
                        found = from_protobuf(record, self.layout.record, Allowance(), attributes)
                    except TooManyValues as error:
                        self.rejections.add(str(error))
                    else:
                        yield found, attributes, origin

    def _from_json(self, value: object, *, first: bool) -> Iterator[Record]:
        (resources, resources_alias), (scopes, scopes_alias), (records, records_alias) = self.layout.keys
        if not isinstance(value, dict):
            raise BadInput("must be a JSON object", "body")
        groups = _items(value, resources, resources_alias)
        if groups is None:
            self._check_path(value)
            return
        for at, group in enumerate(groups):
            place = f"{resources}[{at}]" if first else resources
            try:
                yield from self._group_from_json(group, (scopes, scopes_alias), (records, records_alias))
            except TooLarge:
                raise
            except BadInput as error:
                raise within(place, error) from None

    def _group_from_json(
        self, group: object, scope_keys: tuple[str, str], record_keys: tuple[str, str]
    ) -> Iterator[Record]:
        if not isinstance(group, dict):
            raise BadInput("must be an object")
        resource = _json_part(group, "resource", schema.RESOURCE)
        url = _url(group)
        for at, part in enumerate(_items(group, *scope_keys) or []):
            if not isinstance(part, dict):
                raise BadInput("must be an object", f"{scope_keys[0]}[{at}]")
            origin = make_origin(resource, url, _json_part(part, "scope", schema.SCOPE), _url(part))
            records = _items(part, *record_keys) or []
            self._add(len(records))
            for number, record in enumerate(records):
                attributes: Attributes = {}
                try:
                    found = from_json(record, self.layout.record, Allowance(), attributes)
                except TooManyValues as error:
                    self.rejections.add(str(error))
                except BadInput as error:
                    raise within(f"{scope_keys[0]}[{at}].{record_keys[0]}[{number}]", error) from None
                else:
                    yield found, attributes, origin

    def _check_path(self, value: dict[str, Any]) -> None:
        for key, path in self.layout.elsewhere.items():
            if key in value:
                raise BadInput(f"this is a request for {path}", key)


def _items(value: dict[str, Any], key: str, alias: str) -> Sequence[object] | None:
    found = value.get(key) if key in value else value.get(alias)
    if found is not None and not isinstance(found, list):
        raise BadInput("must be an array", key)
    return found


def _part(value: Any, of: schema.Message, read: Callable[[Any, schema.Message, Allowance], Json]) -> Json:
    try:
        return read(value, of, Allowance())
    except TooManyValues as error:
        raise BadInput(str(error)) from None


def _json_part(value: dict[str, Any], key: str, of: schema.Message) -> Json | None:
    found = value.get(key)
    if found is None:
        return None
    try:
        return _part(found, of, from_json)
    except BadInput as error:
        raise within(key, error) from None


def _url(value: dict[str, Any]) -> str:
    found = value.get("schemaUrl") or value.get("schema_url") or ""
    if not isinstance(found, str):
        raise BadInput("must be a string", "schemaUrl")
    return found


def valid_trace_id(text: str) -> bool:
    """True for 16 bytes in hex, not all zero."""
    return _TRACE_ID(text) is not None


def valid_span_id(text: str) -> bool:
    """True for 8 bytes in hex, not all zero."""
    return _SPAN_ID(text) is not None


def is_hex(text: str) -> bool:
    """True for whole bytes in lower-case hex, none included."""
    return _HEX(text) is not None


def is_no_id(text: str) -> bool:
    """True for the ways of saying "none": empty, or whole bytes that are all zero."""
    return len(text) % 2 == 0 and not text.strip("0")
