"""Schemas that serve both ways: in a body a field may be left out, in an answer each is there."""

from __future__ import annotations

from typing import Any

import marshmallow as ma


class AnswerSchema(ma.Schema):
    """An answer: all its fields are required."""

    def on_bind_field(self, field_name: str, field_obj: ma.fields.Field[Any]) -> None:
        """See marshmallow.Schema."""
        field_obj.required = True
