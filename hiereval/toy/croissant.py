"""`shapes` as files that anybody can load: a table, its pictures, and Croissant 1.0 metadata.

Croissant is MLCommons' vocabulary for datasets in JSON-LD. The table is also what
`hiereval run --dataset shapes-test.csv` reads, with the pictures beside it in `images/`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from hiereval.toy.drawing import VERSION
from hiereval.toy.shapes import shapes
from hiereval.types import Chains, DataOptions

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
FILE = "croissant.json"
PUBLISHED = "2026-11-25"  # of this version of the scenes
_DAY = (2026, 11, 25, 0, 0, 0)  # of every picture in the archive, so that its bytes stay
_COLUMNS = {
    "id": "Name of the scene.",
    "image": "Name of its picture, 48 x 48 pixels.",
    "captions": "Four captions, general to specific, joined by arrows.",
    "negatives": "Four captions that contradict those in their places, joined alike.",
}
_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty",
    "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)  # fmt: skip


def written(split: str) -> dict[str, bytes]:
    """Return each file's name and content: the metadata, the table, the pictures."""
    data = shapes(DataOptions(split=split))
    files = {f"shapes-{split}.csv": _table(data), f"shapes-{split}-images.zip": _archive(data)}
    metadata = json.dumps(_metadata(split, files), indent=1)
    return {FILE: f"{metadata}\n".encode(), **files}


def _table(data: Chains) -> bytes:
    assert data.negatives is not None
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(_COLUMNS)
    for i, image in enumerate(data.images):
        own = (data.chains[i], data.negatives[i])
        table.writerow([image.name, f"{image.name}.png", *(_joined(data, row) for row in own)])
    return out.getvalue().encode()


def _joined(data: Chains, row: Any) -> str:
    return " => ".join(data.texts[j] for j in row)


def _archive(data: Chains) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for image in data.images:
            archive.writestr(zipfile.ZipInfo(f"{image.name}.png", _DAY), image.read())
    return out.getvalue()


def _metadata(split: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    table, archive = files
    fields = [_field(f"scenes/{name}", text, {"fileObject": {"@id": table},
              "extract": {"column": name}}) for name, text in _COLUMNS.items()]  # fmt: skip
    pictures = {"@id": "pictures"}
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "name": f"shapes-{split}",
        "description": "Rendered scenes of shapes, each with a chain of four captions, general to "
        "specific, and a chain that contradicts it; generated from a seed by hiereval.",
        "conformsTo": CONFORMS_TO,
        "license": "https://spdx.org/licenses/MIT.html",
        "url": "https://pypi.org/project/hiereval-vlm/",
        "creator": {"@type": "sc:Organization", "name": "hiereval"},
        "version": f"{VERSION}.0.0",
        "datePublished": PUBLISHED,
        "citeAs": f"hiereval, shapes version {VERSION}",
        "isLiveDataset": False,
        "distribution": [
            _file(table, "text/csv", files[table]),
            _file(archive, "application/zip", files[archive]),
            {
                "@type": "cr:FileSet",
                **pictures,
                "name": "pictures",
                "containedIn": {"@id": archive},
                "encodingFormat": "image/png",
                "includes": "*.png",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "scenes",
                "name": "scenes",
                "key": {"@id": "scenes/id"},
                "field": fields,
            },
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "key": {"@id": "images/image"},
                "field": [
                    _field("images/image", "Name of a picture.",
                           {"fileSet": pictures, "extract": {"fileProperty": "filename"}}),
                    _field("images/content", "The picture.",
                           {"fileSet": pictures, "extract": {"fileProperty": "content"}},
                           "sc:ImageObject"),
                ],
            },
        ],
    }  # fmt: skip


def _context() -> dict[str, Any]:
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "dct": "http://purl.org/dc/terms/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "sc": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        **{term: f"cr:{term}" for term in _TERMS},
    }


def _file(name: str, encoding: str, content: bytes) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{len(content)} B",
        "encodingFormat": encoding,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _field(id: str, text: str, source: Mapping[str, Any], kind: str = "sc:Text") -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": id,
        "name": id.partition("/")[2],
        "description": text,
        "dataType": kind,
        "source": dict(source),
    }
