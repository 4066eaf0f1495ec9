"""Move the fragments of changelog.d/ into CHANGELOG.md, under the version of this checkout.

python docs/make_changelog.py
"""

from __future__ import annotations

from pathlib import Path

from hiereval import __version__

ROOT = Path(__file__).parents[1]


def assembled(changelog: str, fragments: list[str], version: str) -> str:
    """Return the changelog with the fragments' bullets at the end of this version's section.

    A version that has no section yet gets one, above the others.
    """
    added = "\n".join(fragment.strip() for fragment in fragments)
    heading = f"## {version}\n"
    if heading not in changelog:
        first = changelog.find("\n## ")
        start = len(changelog) if first < 0 else first + 1
        return f"{changelog[:start]}{heading}\n{added}\n\n{changelog[start:]}".rstrip() + "\n"
    start = changelog.index(heading) + len(heading)
    end = changelog.find("\n## ", start)
    end = len(changelog) if end < 0 else end
    return f"{changelog[:end].rstrip()}\n{added}\n{changelog[end:]}".rstrip() + "\n"


def main(root: Path = ROOT) -> None:
    """Write the changelog and remove the fragments that stand in it now."""
    files = [f for f in sorted((root / "changelog.d").glob("*.md")) if f.name != "README.md"]
    changelog = root / "CHANGELOG.md"
    texts = [file.read_text("utf-8") for file in files]
    changelog.write_text(assembled(changelog.read_text("utf-8"), texts, __version__), "utf-8")
    for file in files:
        file.unlink()


if __name__ == "__main__":
    main()
