"""Writes what `settings` takes into the chart's values.schema.json; with `--check` only says whether it is up to date.

The names are those of the settings class in camel case. What the chart sets by other values is left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from ark_broker.model.event import KINDS
from ark_broker.settings import Settings, choices, takes_size

SCHEMA = Path(__file__).with_name("ark-broker") / "values.schema.json"

#: Setting → the value of the chart that sets it.
ELSEWHERE: Final = {
    "port": "memory.port",
    "grpc_port": "grpc.port",
    "data_dir": "persistence.mountPath",
    "database_url": "database.url",
    "database_pool_size": "database.poolMax",
}
_LIMITS: Final = {
    annotated_types.Ge: ("ge", "minimum"),
    annotated_types.Gt: ("gt", "exclusiveMinimum"),
    annotated_types.Le: ("le", "maximum"),
    annotated_types.Lt: ("lt", "exclusiveMaximum"),
}


def camel_case(field: str) -> str:
    """`maxBodyBytes` for `max_body_bytes`."""
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


def schema_of(name: str, field: FieldInfo) -> dict[str, Any]:
    """JSON schema of one setting. An empty text counts as not set, as an empty variable does."""
    schema = _type(name, field)
    limits = [(_LIMITS[type(part)], part) for part in field.metadata if type(part) in _LIMITS]
    if "enum" not in schema:
        schema |= {keyword: getattr(part, attribute) for (attribute, keyword), part in limits}
    return {"description": field.description or ""} | schema


def _type(name: str, field: FieldInfo) -> dict[str, Any]:
    words = choices(name)
    kinds = {field.annotation, *get_args(field.annotation)}
    if words:
        return {"enum": [*words, "", None]}
    if takes_size(name):
        return {"type": ["integer", "string", "null"], "pattern": "^([0-9]+ *([KMG]i?B|B)?)?$"}
    if bool in kinds:
        return {"enum": [True, False, "", None]}
    if int in kinds:
        return {"type": ["integer", "null"]}
    if float in kinds and dict not in kinds:
        return {"type": ["number", "null"]}
    if dict in {get_origin(kind) for kind in kinds}:
        age = r"[0-9]+(\.[0-9]+)? *[smhd]"
        return {"type": ["string", "null"], "pattern": f"^( *(({'|'.join(KINDS)}) *= *)?{age} *(,|$))*$"}
    return {"type": ["string", "null"]}


def settings_schema() -> dict[str, Any]:
    """JSON schema of the chart's value `settings`."""
    fields = {name: field for name, field in Settings.model_fields.items() if name not in ELSEWHERE}
    return {
        "description": "Settings of the broker by their names in camel case; written by helm/settings_schema.py.",
        "type": "object",
        "additionalProperties": False,
        "properties": {camel_case(name): schema_of(name, field) for name, field in fields.items()},
    }


def main(arguments: list[str]) -> int:
    """Write the file, or compare it. Returns the exit code."""
    schema = json.loads(SCHEMA.read_text())
    schema["properties"]["settings"] = settings_schema()
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if "--check" not in arguments:
        SCHEMA.write_text(text)
        return 0
    if SCHEMA.read_text() == text:
        return 0
    print(f"{SCHEMA} is not what the settings say: run {Path(__file__).name}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
