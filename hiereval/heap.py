"""Memory that is freed and asked for again, layer after layer, stays with the process.

glibc gives large blocks back to the system when they are freed. A network's activations then come
again as pages that the system has to clear first: a quarter of the processor's time for a ViT-B/32
(docs/performance.md).
"""

from __future__ import annotations

import ctypes
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
LARGEST = 32 << 20  # bytes of a block that can be kept: glibc takes no more
KEPT = 1 << 30  # bytes at the heap's end


@cache
def keep_freed() -> None:
    """Let glibc keep freed blocks of up to 32 MB, a GB in all at the heap's end, from now on.

    Other systems' allocators are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return
    mallopt(MMAP_THRESHOLD, LARGEST)
    mallopt(TRIM_THRESHOLD, KEPT)
