"""Whether a schema has changed by addition only.

Two sides must not notice a change. Others know the old schema, and are given new events: a rule
that became wider surprises them. Our own code knows the new schema, and is given the old events
that a topic still keeps: a rule that became narrower refuses them. So every rule stays as it is.
Only fields are added, with a default: others leave out what they do not know, old events do
without.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

Schema = dict[str, Any]

SAID_TO_PEOPLE = {"$schema", "$defs", "title", "description", "default", "examples", "deprecated"}
SEVERAL = {"anyOf", "oneOf", "allOf", "prefixItems"}  # words that have a list of schemas


def refusals(promised: Schema, current: Schema, required: Collection[str]) -> list[str]:
    """Say field by field why one schema of an object must not follow another; nothing, if it may.

    Args:
        promised: The schema that others know.
        current: The schema that is to take its place.
        required: The fields without which our own code cannot read an event.
    """
    return list(_of_fields(_rules(promised), _rules(current), required, ""))


def _rules(schema: Schema) -> Schema:
    """Return a schema with its definitions put in their places, and without what is said to people only."""
    definitions = schema.get("$defs", {})

    def plain(node: Any, inside: tuple[str, ...] = ()) -> Any:
        if isinstance(node, list):
            each = [plain(item, inside) for item in node]
            return each if any(isinstance(item, dict) for item in each) else sorted(each, key=json.dumps)
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if reference in inside:  # what contains itself would have no end
            return {"$ref": inside.index(reference)}
        if reference is not None:
            beside = {rule: value for rule, value in node.items() if rule != "$ref"}
            return plain(definitions[reference.rpartition("/")[2]] | beside, (*inside, reference))
        return {
            rule: {name: plain(field, inside) for name, field in value.items()}
            if rule == "properties"  # here a title is a field like any other
            else plain(value, inside)
            for rule, value in node.items()
            if rule not in SAID_TO_PEOPLE
        }

    plained: Schema = plain(schema)
    return plained


def _of_fields(old: Schema, new: Schema, required: Collection[str], where: str) -> Iterator[str]:
    fields = new.get("properties", {})
    for name, field in old.get("properties", {}).items():
        if name not in fields:
            yield f"{where}{name}: is gone"
        else:
            yield from _of_rules(field, fields[name], f"{where}{name}")
            if name in old.get("required", ()) and name not in new.get("required", ()):
                yield f"{where}{name}: was in every event, and need not be any more"
    for name in sorted(set(required) - old.get("properties", {}).keys()):
        yield f"{where}{name}: is new and has no default, but is not in the events that topics still keep"
    for rule in sorted((old.keys() | new.keys()) - {"properties", "required"}):
        yield from _of_values(old.get(rule), new.get(rule), where.removesuffix("."), rule)


def _of_rules(old: Schema, new: Schema, where: str) -> Iterator[str]:
    return _of_fields(old, new, new.get("required", ()), f"{where}.")


def _of_values(old: Any, new: Any, where: str, rule: str) -> Iterator[str]:
    """Compare what two schemas say by one word; that may be further schemas, as with `items` and `anyOf`."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_rules(old, new, f"{where}[]")
    elif rule in SEVERAL and old is not None and new is not None and len(old) == len(new):
        for before, after in zip(old, new, strict=True):
            yield from _of_rules(before, after, where)
    elif old != new:
        yield f"{where or 'event'}: {rule} {_shown(old, 'was')}, {_shown(new, 'is')}"


def _shown(value: Any, verb: str) -> str:
    return f"{verb} not there" if value is None else f"{verb} {json.dumps(value, ensure_ascii=False)}"
