"""What the import hook checks calls with: beartype, an int where a float is asked for allowed."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

call = beartype(conf=BeartypeConf(is_pep484_tower=True))
