"""What every table shares: the metadata, constraint names as PostgreSQL itself chooses them, column shapes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, DateTime, Identity, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

BigInt = Annotated[int, mapped_column(BigInteger)]
TenantKey = Annotated[int, mapped_column(BigInteger, primary_key=True)]
DrawnId = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]


class Model(DeclarativeBase):
    """Root of the models. The migrations are hand-written SQL, so the names must be PostgreSQL's own."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[list[str]]: JSONB(),
        list[dict[str, Any]]: JSONB(),
        list[str]: ARRAY(Text()),
    }


# The extension keeps the engine and serves the migrations. Its own Model is not used: it adds `.query`, which
# hides the session, and a base class that mypy can't follow.
db = SQLAlchemy(metadata=Model.metadata)
