"""A baseline: FastAPI with fastapi-users, its SQLAlchemy adapter and sessions that can be ended (a token in the
database), as its documentation sets it up; `/me` answers the signed-in person as JSON.

Runs in an environment of its own (.venv-bench), as its adapter wants an older SQLAlchemy than ours.
`python fastapi_users_site.py` makes schema and person and prints the session's cookie; with PORT CERTIFICATE KEY
PROCESSES it serves, with the same server and options as ours.
"""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, CookieTransport
from fastapi_users.authentication.strategy.db import AccessTokenDatabase, DatabaseStrategy
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase, SQLAlchemyBaseAccessTokenTableUUID
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

COOKIE = "fastapiusersauth"
EMAIL, PASSWORD = "ada@example.org", "correct horse battery staple 7"
SECRET = "only for the benchmark, of some length"

engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BENCH_FOLDER']}/fastapi-users.db")
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class Token(SQLAlchemyBaseAccessTokenTableUUID, Base):
    pass


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


async def user_db(opened: Annotated[AsyncSession, Depends(session)]) -> AsyncIterator[Any]:
    yield SQLAlchemyUserDatabase(opened, User)


async def token_db(opened: Annotated[AsyncSession, Depends(session)]) -> AsyncIterator[Any]:
    yield SQLAlchemyAccessTokenDatabase(opened, Token)


async def user_manager(db: Annotated[Any, Depends(user_db)]) -> AsyncIterator[UserManager]:
    yield UserManager(db)


def strategy(db: Annotated[AccessTokenDatabase[Token], Depends(token_db)]) -> DatabaseStrategy[User, uuid.UUID, Token]:
    return DatabaseStrategy(db, lifetime_seconds=12 * 3600)


backend = AuthenticationBackend("cookie", CookieTransport(COOKIE, cookie_max_age=12 * 3600), strategy)
users = FastAPIUsers[User, uuid.UUID](user_manager, [backend])
app = FastAPI()


@app.get("/me")
async def me(user: Annotated[User, Depends(users.current_user(active=True))]) -> dict[str, Any]:
    """As many fields as our own profile has."""
    return {"id": str(user.id), "email": user.email, "active": user.is_active, "verified": user.is_verified}


async def prepare() -> str:
    """Schema and a signed-in person; returns the cookie."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions() as opened:
        manager = UserManager(SQLAlchemyUserDatabase(opened, User))
        person = await manager.create(schemas.BaseUserCreate(email=EMAIL, password=PASSWORD, is_verified=True))
        kept = DatabaseStrategy(SQLAlchemyAccessTokenDatabase(opened, Token), lifetime_seconds=12 * 3600)
        token = await kept.write_token(person)
    return f"{COOKIE}={token}"


def serve(port: int, certificate: str, key: str, processes: int) -> None:
    """With the options of our own listener (`subscription_services.edge.listener.options`)."""
    from pathlib import Path

    from granian.constants import HTTPModes, Interfaces, SSLProtocols
    from granian.log import LogLevels
    from granian.server import Server

    Server(
        "fastapi_users_site:app", address="127.0.0.1", port=port, interface=Interfaces.ASGI, http=HTTPModes.auto,
        websockets=False, log_level=LogLevels.warning, ssl_cert=Path(certificate), ssl_key=Path(key),
        ssl_protocol_min=SSLProtocols.tls13, workers=processes,
    ).serve()  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(asyncio.run(prepare()))
    else:
        serve(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
