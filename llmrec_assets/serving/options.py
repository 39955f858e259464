"""The service's settings, from the environment and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from llmrec_assets.core.pseudonyms import Pseudonyms
from llmrec_assets.layout import Layout
from llmrec_assets.serving.times import micros_of
from llmrec_assets.settings import SettingError, checked, day, secret, setting

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _web_address(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("has to begin with http:// or https://")
    return text.rstrip("/")


def _pseudonyms() -> Pseudonyms | None:
    key = secret("PSEUDONYM_KEY")
    try:
        return Pseudonyms(key) if key else None
    except ValueError as error:
        raise SettingError(f"LLMREC_PSEUDONYM_KEY: {error}") from error


@dataclass(frozen=True)
class ServeOptions:
    """All that can be set of a service."""

    layout: Layout = field(default_factory=Layout.from_environment)
    host: str = "127.0.0.1"
    port: int = 8000
    budget_ms: float = 50.0  # until the published list stands in
    most_waiting: int = 64  # lists in the queue, before the published one stands in
    most_bytes: int = 2 << 20  # of a request's body
    rate: float = 1_000.0  # requests a second of one key, or of one address without keys
    poll_seconds: float = 1.0  # between looks for a new package
    canary_users: int = 1_000
    segment_seconds: float = 30.0  # until feedback goes to the landing zone
    keys: Path | None = None  # the file of keys
    earliest: str = "1990-01-01"  # times before are impossible
    dagster_url: str = "http://127.0.0.1:3000"  # as a reader of the page reaches it
    mlflow_url: str = ""  # nothing links there
    pseudonyms: Pseudonyms | None = field(default=None, repr=False)  # that users are known by

    @classmethod
    def from_environment(cls, **given: object) -> "ServeOptions":
        """`given` values, else those of LLMREC_SERVE_…, else the defaults.

        Raises:
            SettingError: a variable holds a value that its setting does not take.
        """
        keys = setting("SERVE_KEYS", "")
        found: dict[str, object] = {
            "host": setting("SERVE_HOST", cls.host),
            "port": setting("SERVE_PORT", cls.port, minimum=0, maximum=65_535),
            "budget_ms": setting("SERVE_BUDGET_MS", cls.budget_ms, minimum=0),
            "rate": setting("SERVE_RATE", cls.rate, minimum=1),
            "poll_seconds": setting("SERVE_POLL_SECONDS", cls.poll_seconds, minimum=0.05),
            "canary_users": setting("SERVE_CANARY_USERS", cls.canary_users, minimum=0),
            "segment_seconds": setting("SERVE_SEGMENT_SECONDS", cls.segment_seconds, minimum=0.1),
            "most_bytes": setting("SERVE_MOST_BYTES", cls.most_bytes, minimum=1_000),
            "keys": Path(keys).expanduser() if keys else None,
            "earliest": day("EARLIEST", cls.earliest),
            "dagster_url": checked("DAGSTER_URL", cls.dagster_url, _web_address),
            "pseudonyms": _pseudonyms(),
            "mlflow_url": checked("MLFLOW_URL", cls.mlflow_url, _web_address),
        }
        found |= {name: value for name, value in given.items() if value is not None}
        return cls(**found)  # pyright: ignore[reportArgumentType]

    def links(self, paths: Mapping[str, str]) -> dict[str, str]:
        """Addresses of the pages that a package names, dagster and mlflow, where they are known."""
        bases = {"dagster": self.dagster_url, "mlflow": self.mlflow_url}
        return {name: bases[name] + path for name, path in paths.items() if bases.get(name)}

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in LOOPBACK

    @property
    def keys_file(self) -> Path:
        """Where keys are kept."""
        return self.keys or self.layout.serving_keys

    @property
    def earliest_micros(self) -> int:
        """`earliest` in microseconds."""
        return micros_of(datetime.fromisoformat(self.earliest).replace(tzinfo=UTC))
