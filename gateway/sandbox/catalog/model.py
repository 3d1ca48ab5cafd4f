"""A model: its input schema, price and kind of output, and the format of its validation errors."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, Literal

from gateway.sandbox import errors
from gateway.sandbox.schema import Schema, defaults, violations

_DOLLARS_PER_CREDIT = Decimal("0.0625")
_MILLI = Decimal("0.001")


@dataclass(frozen=True)
class Model:
    """A model of the table in `models.py`."""

    slug: str
    output_type: Literal["image", "video"]
    operation_type: str
    dialect: Literal["pydantic", "jsonschema"]
    price: Decimal
    """Credits per image, or per second of video."""

    input_schema: Schema
    metered: bool = False
    """An estimate describes the price in words instead of computing it."""

    listed: bool = True
    """Whether `GET /models` lists it: Higgsfield can call more models than it lists."""

    job_type: str = ""
    """The type of the jobs in a v1 job set; empty for v2 models."""

    def check(self, parameters: Any) -> None:
        """Raise the ApiError that Higgsfield would return for an invalid input of this model."""
        found = list(violations(parameters, self.input_schema))
        if found:
            raise (errors.as_pydantic if self.dialect == "pydantic" else errors.as_jsonschema)(found)

    def with_defaults(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the input with the defaults of the omitted parameters."""
        return defaults(self.input_schema) | parameters

    def outputs(self, parameters: dict[str, Any]) -> int:
        """Return how many files this input produces."""
        return int(self.with_defaults(parameters).get("batch_size", 1))

    def cost(self, parameters: dict[str, Any]) -> Decimal:
        """Return the price of this input in credits."""
        video = self.output_type == "video"
        seconds = Decimal(self.with_defaults(parameters).get("duration", 5) if video else 1)
        return (self.price * seconds * self.outputs(parameters)).quantize(_MILLI)

    def estimate(self, parameters: dict[str, Any]) -> dict[str, str]:
        """Return the response body of the estimate endpoint."""
        if self.metered:
            described = f"{self.price} credits per second of the finished video"
            return {"type": "description", "pricing_description": described}
        credits = self.cost(parameters)
        usd = (credits * _DOLLARS_PER_CREDIT).quantize(_MILLI, rounding=ROUND_UP)
        return {"type": "estimate", "credits": str(credits), "usd": str(usd)}

    def entry(self, with_schema: bool) -> dict[str, Any]:
        """Return the model's entry in the response of `GET /models`."""
        row = {"slug": self.slug, "output_type": self.output_type, "operation_type": [self.operation_type]}
        return {**row, "input_schema": self.input_schema} if with_schema else row
