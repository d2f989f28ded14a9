"""What a client may rely on of an answer, so that answers of two servers can be compared."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is compared."""

    status: int
    media_type: str = ""
    """Without parameters; empty for errors, of which only the status counts."""
    content: bytes = b""


def told(response: httpx.Response, root: Path, label: str) -> Answer:
    """Return what is compared of a response.

    Of a document the order of keys counts, and whether a number is 1 or 1.0. The names of
    property sources are those of the files. A `state` that is empty counts as none.

    Args:
        response: What a server sent.
        root: The directory of the files.
        label: The label, or several in a list, whose directory or branch has the files.
    """
    if response.status_code != 200:
        return Answer(status=response.status_code)
    media_type = response.headers["content-type"].split(";")[0]
    if not media_type.endswith("json"):
        return Answer(status=200, media_type=media_type, content=response.content)
    document = response.json()
    for source in document.get("propertySources", ()) if isinstance(document, dict) else ():
        source["name"] = _named(source["name"], root, label)
    if isinstance(document, dict) and document.get("state") == "":
        document["state"] = None
    return Answer(status=200, media_type=media_type, content=dumped(document))


def dumped(document: object) -> bytes:
    """Return a JSON document as `told` does."""
    return json.dumps(document, ensure_ascii=False).encode()


def _named(name: str, root: Path, label: str) -> str:
    """Return the name of a property source as the file and the number of its document."""
    found = re.fullmatch(rf".*file \[{root}/(.*?)\]?' via location '.*' (\(document #\d+\))", name)
    if found is not None:
        return f"{found[1]} {found[2]}"
    name = re.sub(r"^git://[^/]*/[^/]*\.git/", "", name).removeprefix(f"file:{root}/")
    labels = "|".join(re.escape(one.replace("-", "%2D")) for one in label.split(","))
    return re.sub(f"^(?:{labels})/", "", name)
