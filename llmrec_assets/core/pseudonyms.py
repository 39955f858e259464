"""Ids of users as keyed hashes: who lacks the key can neither undo nor guess one.

A pseudonym ends in a tag that only the key can make, so that one that comes back, as feedback does,
is told from an id that merely looks like it, and stays what it is.
"""

import hmac
from base64 import b32decode, b32encode
from collections.abc import Iterable
from functools import cached_property

LEAST_KEY = 16  # characters
_MARK, _BYTES, _TAG_BYTES = "p-", 16, 4
_LENGTH = len(_MARK) + (_BYTES + _TAG_BYTES) * 8 // 5


class Pseudonyms:
    """The pseudonyms of one key."""

    def __init__(self, key: str) -> None:
        """Keys of their own are derived for each use, by HMAC-SHA256.

        Raises:
            ValueError: the key is too short to be a secret.
        """
        if len(key) < LEAST_KEY:
            raise ValueError(
                f"a key needs {LEAST_KEY} characters or more; make one by:"
                " python3 -c 'import secrets; print(secrets.token_hex(32))'"
            )
        self._secret = key.encode()
        self._ids, self._tags = self._derived("ids"), self._derived("tags")

    def _derived(self, use: str) -> bytes:
        return hmac.digest(self._secret, f"llmrec {use}".encode(), "sha256")

    @cached_property
    def map_key(self) -> bytes:
        """256 bits that encrypt the map back."""
        return self._derived("map")

    @cached_property
    def check(self) -> str:
        """By which another key is found out; it tells nothing of this one."""
        return self._derived("check").hex()[:32]

    def of(self, user: str) -> str:
        """The pseudonym of an id; of a pseudonym itself."""
        if len(user) == _LENGTH and user.startswith(_MARK) and self._is_own(user):
            return user
        digest = hmac.digest(self._ids, user.encode("utf-8", "surrogateescape"), "sha256")
        return self._written(digest[:_BYTES])

    def of_all(self, users: Iterable[str | None]) -> list[str | None]:
        """The pseudonyms of many; of None None."""
        return [None if user is None else self.of(user) for user in users]

    def _written(self, digest: bytes) -> str:
        tag = hmac.digest(self._tags, digest, "sha256")[:_TAG_BYTES]
        return _MARK + b32encode(digest + tag).decode().lower()

    def _is_own(self, text: str) -> bool:
        try:
            raw = b32decode(text[len(_MARK) :].upper())
        except ValueError:
            return False
        return hmac.compare_digest(self._written(raw[:_BYTES]).encode(), text.encode())
