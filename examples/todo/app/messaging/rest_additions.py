"""Finds breaking changes of routes, by comparing two OpenAPI 3.1 documents.

Existing clients know the old document. Requests they send must still be accepted, so requirements
may only be relaxed. Fields they read must still be there, so responses may only be extended. New
error statuses are compatible, because clients must expect errors.
"""

import json
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
Schema = dict[str, Any]

SAID_TO_PEOPLE = {"title", "summary", "description", "examples", "example", "deprecated", "externalDocs"}
SEVERAL = {"anyOf", "oneOf", "allOf", "prefixItems"}  # keywords with a list of schemas
FIELDS = {"properties", "required"}
# Limits of requests may be removed; some of them may also be raised or lowered.
UPWARDS = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
DOWNWARDS = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
LIMITS = UPWARDS | DOWNWARDS | {"enum", "pattern"}


def refusals(promised: Document, current: Document) -> list[str]:
    """Return the breaking changes between two documents, by route."""
    return list(Comparison(promised, current).routes())


class Comparison:
    """Compares two documents. Schemas refer to others by name, so each comparison needs both documents."""

    def __init__(self, promised: Document, current: Document) -> None:
        """Compare `current` with what was `promised`."""
        self.promised = promised
        self.current = current
        self._seen: set[tuple[str, str, bool]] = set()  # compared pairs: recursive schemas would never end

    def routes(self) -> Iterator[str]:
        """Yield the breaking changes of all routes."""
        for path, methods in self.promised["paths"].items():
            for method, operation in methods.items():
                self._seen.clear()  # report a change for each route that it affects
                where, now = f"{method.upper()} {path}", self.current["paths"].get(path, {}).get(method)
                if now is None:
                    yield f"{where}: was removed"
                    continue
                if operation["operationId"] != now["operationId"]:  # generated clients use it as a method name
                    yield f"{where}: operation id was {operation['operationId']}, is {now['operationId']}"
                yield from _of_sign_in(operation, now, where)
                yield from self._of_parameters(operation, now, where)
                yield from self._of_bodies(operation, now, where)
                yield from self._of_answers(operation, now, where)

    def _of_parameters(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        before, after = ({(p["in"], p["name"]): p for p in each.get("parameters", ())} for each in (old, new))
        for kind, name in before.keys() - after.keys():
            yield f"{where}: {kind} {name} was removed"
        for (kind, name), parameter in after.items():
            known = before.get((kind, name))
            if parameter["required"] and not (known and known["required"]):
                yield f"{where}: {kind} {name} is required now"
            if known:
                yield from self._of_rules(known["schema"], parameter["schema"], f"{where}: {kind} {name}", asked=True)

    def _of_bodies(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        before, after = old.get("requestBody", {}), new.get("requestBody", {})
        if after.get("required") and not before.get("required"):
            yield f"{where}: a body is required now"
        yield from self._of_contents(before, after, f"{where}: body", asked=True)

    def _of_answers(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        for status, answer in old["responses"].items():
            now = new["responses"].get(status)
            if now is not None:
                yield from self._of_contents(answer, now, f"{where}: {status}", asked=False)
                for header in answer.get("headers", {}).keys() - now.get("headers", {}).keys():
                    yield f"{where}: {status} header {header} was removed"
            elif status < "400":
                yield f"{where}: {status} was removed"
        for status in new["responses"].keys() - old["responses"].keys():
            if status < "400":
                yield f"{where}: {status} is a new success status"

    def _of_contents(self, old: Schema, new: Schema, where: str, *, asked: bool) -> Iterator[str]:
        after = new.get("content", {})
        for kind, content in old.get("content", {}).items():
            if kind not in after:
                yield f"{where} {kind} was removed"
            else:
                yield from self._of_rules(content.get("schema", {}), after[kind].get("schema", {}), where, asked=asked)

    def _of_rules(self, old: Schema, new: Schema, where: str, *, asked: bool) -> Iterator[str]:
        """Compare two schemas: of requests (`asked`), or of responses."""
        names = (old.get("$ref", ""), new.get("$ref", ""), asked)
        if any(names[:2]) and names in self._seen:
            return
        self._seen.add(names)
        old, new = _named(self.promised, old), _named(self.current, new)
        yield from self._of_fields(old, new, where, asked=asked)
        for rule in sorted((old.keys() | new.keys()) - FIELDS - SAID_TO_PEOPLE - ({"default"} if not asked else set())):
            yield from self._of_values(old.get(rule), new.get(rule), where, rule, asked=asked)

    def _of_fields(self, old: Schema, new: Schema, where: str, *, asked: bool) -> Iterator[str]:
        fields = new.get("properties", {})
        for name, field in old.get("properties", {}).items():
            if name in fields:
                yield from self._of_rules(field, fields[name], f"{where}.{name}", asked=asked)
            else:
                yield f"{where}.{name} was removed"
        before, after = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(after - before if asked else (before & fields.keys()) - after):
            yield f"{where}.{name} {'is required now' if asked else 'is optional now'}"

    def _of_values(self, old: Any, new: Any, where: str, rule: str, *, asked: bool) -> Iterator[str]:
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self._of_rules(old, new, f"{where}[]", asked=asked)
        elif rule in SEVERAL and old is not None and new is not None and _as_many(old, new, asked=asked):
            for before, after in zip(old, new, strict=False):
                yield from self._of_rules(before, after, where, asked=asked)
        elif old != new and not (asked and _wider(rule, old, new)):
            yield f"{where}: {rule} {_shown(old, 'was')}, {_shown(new, 'is')}"


def _of_sign_in(old: Schema, new: Schema, where: str) -> Iterator[str]:
    """Require that every security scheme that was accepted still is."""
    before, after = old.get("security", [{}]), new.get("security", [{}])
    if any(way not in after for way in before) and {} not in after:
        yield f"{where}: security {_shown(before, 'was')}, {_shown(after, 'is')}"


def _as_many(old: list[Schema], new: list[Schema], *, asked: bool) -> bool:
    return len(old) == len(new) or (asked and len(old) < len(new))


def _wider(rule: str, old: Any, new: Any) -> bool:
    """Return whether a limit of requests still accepts everything that it accepted before."""
    if old is None or rule not in LIMITS:
        return False
    if new is None:
        return True
    match rule:
        case "enum":
            return set(old) <= set(new)
        case "pattern":
            return False
    return bool(new > old if rule in UPWARDS else new < old)


def _named(document: Document, schema: Schema) -> Schema:
    """Resolve a `$ref`, and merge the keywords next to it."""
    if "$ref" not in schema:
        return schema
    beside = {rule: value for rule, value in schema.items() if rule != "$ref"}
    return _named(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] | beside)


def _shown(value: Any, verb: str) -> str:
    return f"{verb} not set" if value is None else f"{verb} {json.dumps(value, ensure_ascii=False)}"
