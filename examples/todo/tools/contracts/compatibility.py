"""Finds breaking changes of event schemas: only additions are compatible.

Changes must be compatible in both directions. Other services know the old schema and receive new
events, so no rule may be relaxed. Our own code knows the new schema and receives old events that
topics still contain, so no rule may be tightened. Only fields with a default may be added: other
services ignore them, and old events do not need them.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

Schema = dict[str, Any]

ANNOTATIONS = {"$schema", "$defs", "title", "description", "default", "examples", "deprecated"}
SCHEMA_LISTS = {"anyOf", "oneOf", "allOf", "prefixItems"}  # keywords with a list of schemas


def breaking_changes(published: Schema, current: Schema, required: Collection[str]) -> list[str]:
    """Return the breaking changes between two schemas of an object, by field.

    Args:
        published: The published schema.
        current: The schema of the code.
        required: Fields that the code needs to read an event.
    """
    return list(_compare_fields(_inline_definitions(published), _inline_definitions(current), required, ""))


def _inline_definitions(schema: Schema) -> Schema:
    """Return a schema with inlined definitions, and without annotations such as titles."""
    definitions = schema.get("$defs", {})

    def inline(node: Any, inside: tuple[str, ...] = ()) -> Any:
        if isinstance(node, list):
            each = [inline(item, inside) for item in node]
            return each if any(isinstance(item, dict) for item in each) else sorted(each, key=json.dumps)
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if reference in inside:  # a recursive schema would never end
            return {"$ref": inside.index(reference)}
        if reference is not None:
            keywords = {rule: value for rule, value in node.items() if rule != "$ref"}
            return inline(definitions[reference.rpartition("/")[2]] | keywords, (*inside, reference))
        return {
            rule: {name: inline(field, inside) for name, field in value.items()}
            if rule == "properties"  # here, a title is a field like any other
            else inline(value, inside)
            for rule, value in node.items()
            if rule not in ANNOTATIONS
        }

    inlined: Schema = inline(schema)
    return inlined


def _compare_fields(old: Schema, new: Schema, required: Collection[str], where: str) -> Iterator[str]:
    fields = new.get("properties", {})
    for name, field in old.get("properties", {}).items():
        if name not in fields:
            yield f"{where}{name}: was removed"
        else:
            yield from _compare_rules(field, fields[name], f"{where}{name}")
            if name in old.get("required", ()) and name not in new.get("required", ()):
                yield f"{where}{name}: was required, is optional"
    for name in sorted(set(required) - old.get("properties", {}).keys()):
        yield f"{where}{name}: is new and needs a default, because topics still contain events without it"
    for rule in sorted((old.keys() | new.keys()) - {"properties", "required"}):
        yield from _compare_values(old.get(rule), new.get(rule), where.removesuffix("."), rule)


def _compare_rules(old: Schema, new: Schema, where: str) -> Iterator[str]:
    return _compare_fields(old, new, new.get("required", ()), f"{where}.")


def _compare_values(old: Any, new: Any, where: str, rule: str) -> Iterator[str]:
    """Compare the values of one keyword, which may be further schemas, as with `items` and `anyOf`."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _compare_rules(old, new, f"{where}[]")
    elif rule in SCHEMA_LISTS and old is not None and new is not None and len(old) == len(new):
        for before, after in zip(old, new, strict=True):
            yield from _compare_rules(before, after, where)
    elif old != new:
        yield f"{where or 'event'}: {rule} {_format_rule(old, 'was')}, {_format_rule(new, 'is')}"


def _format_rule(value: Any, verb: str) -> str:
    return f"{verb} not set" if value is None else f"{verb} {json.dumps(value, ensure_ascii=False)}"
