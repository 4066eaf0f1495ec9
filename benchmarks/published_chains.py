"""The predictions that were published with HierarCaps, one line an image as `hiereval score` reads.

    python benchmarks/published_chains.py CHECKOUT/web/scripts/res.js FOLDER

writes FOLDER/clip-l.jsonl (as released) and clip-l-re.jsonl (after radial-embedding fine-tuning).
The predictions are their authors' and are no part of this project.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

NAMES = {"base": "clip-l", "ft": "clip-l-re"}


def main() -> None:
    """Write a file for each of the two models."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "source", type=Path, help="web/scripts/res.js of github.com/TAU-VAILab/hierarcaps"
    )
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    text = arguments.source.read_text("utf-8")
    of_test = json.loads(text[text.index("{") :].rstrip().rstrip(";"))["test"]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for key, name in NAMES.items():
        lines = [json.dumps({"image": i, "chain": chain}) for i, chain in of_test[key].items()]
        (arguments.folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        print(f"{name}.jsonl: {len(lines):,} images")


if __name__ == "__main__":
    main()
