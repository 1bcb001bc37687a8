"""Values read from files and from users, checked against a schema: one line says what is wrong."""

from __future__ import annotations

from typing import Annotated, Any, Self

import pydantic

from keras_resnets.errors import ConfigError, nearest

__all__ = ["Numbers", "Schema"]

Numbers = Annotated[
    tuple[float, ...], pydantic.BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]
"""Numbers, given as a list or a tuple."""


class Schema(pydantic.BaseModel):
    """An immutable value whose fields are checked; unknown fields are errors.

    Subclasses declare fields as pydantic does; types are strict, but for whole numbers where a
    number is meant and lists where a tuple is.

    Example:
        >>> class Crop(Schema):
        ...     padding: int = pydantic.Field(4, ge=0)
        >>> Crop.parse({"padding": -1}, "augmentation")
        ConfigError: `augmentation.padding` must be greater than or equal to 0. Received: padding=-1
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False
    )

    @classmethod
    def parse(cls, values: dict[str, Any], where: str = "") -> Self:
        """Return the value made of a dict.

        Args:
            values: Field values; tables are dicts.
            where: What the dict is, to begin names in messages with; with a colon at its end, to
                begin messages with: ``recipe mine:``.

        Raises:
            ConfigError: A field is unknown or its value illegal; the message names the first.
        """
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            if where.endswith(":"):
                message = f"{where} {_message(cls, error, '')}"
            else:
                message = _message(cls, error, where)
            raise ConfigError(message) from error

    def replace(self, **changes) -> Self:
        """Return a copy with some fields changed, checked like a new value."""
        return type(self).parse({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return self.model_dump(mode="json")


def _message(cls, error: pydantic.ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"] if not str(part).startswith("function-")]
    name = ".".join(filter(None, [where, *path]))
    received = f"Received: {path[-1] if path else where}={first['input']!r}"
    if first["type"] == "extra_forbidden":
        known = nearest(path[-1], _fields(cls, path[:-1]))
        return f"`{name}` is not a setting{known}"
    if first["type"] == "missing":
        return f"`{name}` is missing"
    reason = first["msg"].removeprefix("Value error, ")
    if reason.startswith("Input should be "):
        return f"`{name}` must be {reason.removeprefix('Input should be ')}. {received}"
    if first["type"] == "value_error" and "Received" in reason:
        return reason
    return f"`{name}`: {reason}. {received}"


def _fields(cls, path: list[str]) -> list[str]:
    """Return the names of the fields of the table at a path of fields."""
    for name in path:
        field = cls.model_fields.get(name)
        inner = getattr(field, "annotation", None)
        if not (isinstance(inner, type) and issubclass(inner, pydantic.BaseModel)):
            return []
        cls = inner
    return list(cls.model_fields)
