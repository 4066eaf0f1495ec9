"""Gives every page a place in the site's navigation, so that a new one cannot be forgotten."""

from __future__ import annotations

from typing import Any

FOLDERS = {"tasks": "Tasks"}  # folder of docs/ -> section of mkdocs.yml
REST = "More"


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the pages that mkdocs.yml does not name: to their folder's section, or to the last."""
    sections = {title: pages for entry in config.nav for title, pages in entry.items()}
    named = {page for pages in sections.values() for page in _paths(pages)}
    for path in sorted(file.src_uri for file in files.documentation_pages()):
        if path in named:
            continue
        title = FOLDERS.get(path.rpartition("/")[0], REST)
        if title not in sections:
            sections[title] = []
            config.nav.append({title: sections[title]})
        sections[title].append(path)
    return files


def _paths(pages: Any) -> list[str]:
    """Return the files of a navigation entry: a page, or a list of pages and titled entries."""
    if isinstance(pages, str):
        return [pages]
    if isinstance(pages, dict):
        pages = list(pages.values())
    return [path for page in pages for path in _paths(page)]
