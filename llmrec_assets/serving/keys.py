"""API keys: shown once, kept as SHA-256 only, each with scopes.

A key has 256 random bits, so that a plain hash of it cannot be searched; passwords would need more.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from llmrec_assets.serving.schemas import Scope

_MARK = "llmrec_"


class BadKeysFile(ValueError):
    """The file of keys cannot be used; the message says what to do."""


class Key(BaseModel):
    """What is kept of a key."""

    name: str
    sha256: str
    scopes: list[Scope]
    created: datetime


class _File(BaseModel):
    keys: list[Key] = []


class Keys:
    """The keys that a service takes."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self._keys = list(keys)

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Those of a file.

        Raises:
            BadKeysFile: it is missing, holds no key, is not of this form or open to others.
        """
        if not path.is_file():
            raise BadKeysFile(f"{path} is not there: make a key by llmrec key add --scope read")
        if path.stat().st_mode & 0o077:
            raise BadKeysFile(f"others may read {path}: chmod 600 it")
        keys = _read(path).keys
        if not keys:
            raise BadKeysFile(f"{path} holds no key: make one by llmrec key add --scope read")
        return cls(keys)

    def find(self, secret: str) -> Key | None:
        """The key that `secret` is, compared in a time that does not tell how near it came."""
        digest, found = _digest(secret), None
        for key in self._keys:
            if hmac.compare_digest(digest, key.sha256):
                found = key
        return found


def add(path: Path, name: str, scopes: Sequence[Scope]) -> str:
    """Make a key, keep its hash in the file (mode 0600) and return it; it is nowhere else.

    Raises:
        BadKeysFile: the file is there, but not of this form.
    """
    secret = _MARK + secrets.token_urlsafe(32)
    file = _read(path) if path.is_file() else _File()
    now = datetime.now(UTC)
    file.keys.append(Key(name=name, sha256=_digest(secret), scopes=list(scopes), created=now))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        json.dump(file.model_dump(mode="json"), opened, indent=1)
        opened.flush()
        os.fsync(opened.fileno())
    partial.replace(path)
    return secret


def _read(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadKeysFile(f"{path} is no file of keys; remove it and make new ones") from error


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
