"""File format for moving rows between databases: one JSON object per line.

The first line is a header, all others are rows. Values are written as Python represents them,
independent of the database. Values that a stricter database would reject are rejected during the
export, while the service that can fix them still runs.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, TypeDecorator

CONFIG = ConfigDict(
    extra="forbid",
    strict=True,
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="constants",
)

INTEGERS = ((SmallInteger, 16), (BigInteger, 64))  # bits; others have 32


class TransferError(Exception):
    """The export or import failed; nothing was changed."""


class UnusableFile(TransferError):
    """The file is invalid or incomplete."""


class Content(BaseModel):
    """Columns and number of rows of a table."""

    columns: list[str]
    rows: int


class Header(BaseModel):
    """The first line of the file."""

    format: Literal[1]
    tables: dict[str, Content]

    def line(self) -> bytes:
        """Serialize the header."""
        return self.model_dump_json().encode() + b"\n"


def read_header(line: bytes) -> Header:
    """Read the first line.

    Raises:
        InvalidSchemaFile: If it is not a valid header.
    """
    try:
        return Header.model_validate_json(line)
    except ValidationError as error:
        raise UnusableFile(f"The first line is not that of an export: {_explain(error)}.") from None


class Line(NamedTuple):
    """A parsed row."""

    number: int
    table: str
    values: dict[str, Any]


class Rows:
    """Reads and writes rows of the given tables as lines."""

    def __init__(self, metadata: MetaData) -> None:
        """Build the models for lines from the columns."""
        self.tables = {table.name: table for table in metadata.sorted_tables}
        self.columns = {
            name: [column for column in table.columns if column.computed is None] for name, table in self.tables.items()
        }
        self.names = {name: [column.name for column in columns] for name, columns in self.columns.items()}
        lines: Any = tuple(map(self._line, self.tables))
        self._reader: TypeAdapter[Any] = TypeAdapter(Annotated[Union[lines], Field(discriminator="table")])  # noqa: UP007
        self._writer = TypeAdapter(dict[str, Any], config=CONFIG)

    def _line(self, name: Any) -> type[BaseModel]:
        """Build the model for a line. Column names are aliases, since some of them are not valid field names."""
        fields: dict[str, Any] = {
            f"column_{number}": (_kind(column), Field(alias=column.name))
            for number, column in enumerate(self.columns[name])
        }
        row = create_model(name, __config__=CONFIG, **fields)
        return create_model("Line", __config__=CONFIG, table=(Literal[name], ...), row=(row, ...))  # ty: ignore[invalid-type-form]

    def write(self, table: str, row: Sequence[Any]) -> bytes:
        """Serialize a row, and check that it can be read again.

        Raises:
            TransferError: If a value does not match the type of its column, which SQLite allows.
        """
        values = dict(zip(self.names[table], row, strict=True))
        line = self._writer.dump_json({"table": table, "row": values})
        try:
            self._reader.validate_json(line)
        except ValidationError as error:
            key = ", ".join(f"{column.name} {values[column.name]}" for column in self.tables[table].primary_key)
            raise TransferError(
                f"{_explain(error)} (in the row with {key}).\nFix it in the database, then export again."
            ) from None
        return line + b"\n"

    def read(self, number: int, line: bytes) -> Line:
        """Parse a row.

        Raises:
            InvalidSchemaFile: If the line is not a valid row.
        """
        try:
            found = self._reader.validate_json(line)
        except ValidationError as error:
            raise UnusableFile(f"Line {number}: {_explain(error)}.") from None
        keys = [column.key for column in self.columns[found.table]]
        return Line(number, found.table, dict(zip(keys, vars(found.row).values(), strict=True)))


def python_type(column: Column[Any]) -> Any:
    """Return the Python type of a column. Custom types can define it with a property of this name."""
    if column.type.python_type is object and isinstance(column.type, TypeDecorator):
        return column.type.impl_instance.python_type
    return column.type.python_type


def _kind(column: Column[Any]) -> Any:
    """Return the type annotation for a column, with the limits that PostgreSQL enforces."""
    kind = python_type(column)
    if kind is object:
        kind = Any
    elif kind is str:
        kind = Annotated[str, Field(max_length=getattr(column.type, "length", None)), AfterValidator(_without_nul)]
    elif kind is int:
        bits = next((bits for sort, bits in INTEGERS if isinstance(column.type, sort)), 32)
        kind = Annotated[int, Field(ge=-(2 ** (bits - 1)), lt=2 ** (bits - 1))]
    return kind | None if column.nullable else kind


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("contains a NUL character, which PostgreSQL does not store")
    return value


def _explain(error: ValidationError) -> str:
    """Describe the location and the reason, without the value, which may be a secret."""
    [problem, *_] = error.errors(include_input=False, include_url=False)
    if problem["type"] == "json_invalid":
        return "is not JSON, or was cut off"
    place = ".".join(str(part) for part in problem["loc"] if part != "row")
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}".removeprefix(": ")
