"""Where things are and whether the network may be used: the one reader of settings outside flags.

No other module reads an environment variable or knows a default folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ANSWER_SECONDS = 2.2  # after which the network counts as absent; HF_HUB_ETAG_TIMEOUT overrides


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of one run; whatever a run keeps stands below one of them or in its output."""

    cache: Path  # embeddings, remembered hashes: all that can be made again
    data: Path  # the data root, which holds `hierarcaps/`
    offline: bool = False  # never use the network
    hub: Path | None = None  # the hub's files; None: where the hub's own settings say
    aliases: Path | None = None  # the user's own models.toml
    mirror: str | None = None  # where HierarCaps is fetched from; None: its authors' repository
    answer_seconds: float = ANSWER_SECONDS

    @staticmethod
    def of(
        cache_dir: str | Path | None = None,
        data_dir: str | Path | None = None,
        offline: bool = False,
    ) -> Places:
        """Return the places of flags, then of the environment, then the platform's own.

        HIEREVAL_CACHE, HIEREVAL_DATA (default: `data` in the cache), HIEREVAL_MODELS (a
        models.toml), HIEREVAL_MIRROR, and the hub's HF_HUB_OFFLINE and HF_HUB_ETAG_TIMEOUT. With
        a cache folder given, the hub's files are kept below it too.
        """
        import platformdirs

        given = cache_dir or os.environ.get("HIEREVAL_CACHE")
        cache = _folder(given or platformdirs.user_cache_dir("hiereval", appauthor=False))
        data = data_dir or os.environ.get("HIEREVAL_DATA")
        aliases = os.environ.get("HIEREVAL_MODELS") or (
            Path(platformdirs.user_config_dir("hiereval", appauthor=False)) / "models.toml"
        )
        return Places(
            cache=cache,
            data=_folder(data) if data else cache / "data",
            offline=offline or _on("HF_HUB_OFFLINE"),
            hub=cache / "hub" if cache_dir else None,
            aliases=Path(aliases).expanduser(),
            mirror=os.environ.get("HIEREVAL_MIRROR") or None,
            answer_seconds=float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or ANSWER_SECONDS),
        )


def _folder(given: str | Path) -> Path:
    return Path(given).expanduser()


def _on(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")
