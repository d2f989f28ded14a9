"""The pages that the site has from outside `docs`, and where links to them lead.

A Markdown file of the repository is the page `repository/<path>`. A directory of `docs/examples` is
one page that shows its files, with a heading for each.
"""

import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
SKIPPED = {"LICENSE", "py.typed"}
FENCE = re.compile(r"^(?:```|~~~)")
REPOSITORY = "https://github.com/pyfly/pyfly-config/"
LINK = re.compile(
    rf"(?<=\]\()(?:{re.escape(REPOSITORY)}(?:blob|tree)/main/(?P<address>[^)\s#]+)"
    r"|(?!\w+:|#)(?P<path>[^)\s#]+))(?P<anchor>#[^)\s]+)?(?=\))"
)
"""A relative link, or one to a file of the repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsidePage:
    """A page of the site: its title in the navigation, its path below `docs`, its Markdown."""

    title: str
    path: str
    text: str


def documents(root: Path) -> list[OutsidePage]:
    """Return the Markdown files of the repository: those at the top, then those of packages."""
    paths = [*sorted(root.glob("*.md")), *sorted(root.glob("packages/*/*.md"))]
    return [
        OutsidePage(
            title=_title(path, root),
            path=f"repository/{path.relative_to(root).as_posix()}",
            text=path.read_text(encoding="utf-8"),
        )
        for path in paths
    ]


def _title(path: Path, root: Path) -> str:
    if path.parent == root:
        return path.stem.replace("_", " ").capitalize().replace("Readme", "README")
    kind = "" if path.stem == "README" else f": {path.stem.lower().replace('_', ' ')}"
    return path.parent.name + kind


def examples(root: Path) -> list[OutsidePage]:
    """Return one page for each directory of `docs/examples`."""
    directories = [one for one in sorted((root / "docs/examples").iterdir()) if one.is_dir()]
    return [
        OutsidePage(title=one.name, path=f"examples/{one.name}.md", text=_listing(one))
        for one in directories
    ]


def _listing(directory: Path) -> str:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    parts = [f"# docs/examples/{directory.name}\n"]
    for path in files:
        if path.name in SKIPPED or "__pycache__" in path.parts:
            continue
        name = path.relative_to(directory).as_posix()
        content = path.read_text(encoding="utf-8").rstrip("\n")
        fence = "````" if path.suffix == ".md" else "```"
        language = LANGUAGES.get(path.suffix, "text")
        parts.append(
            f"## {name} {{: #{anchor_of(name)} }}\n\n{fence}{language}\n{content}\n{fence}\n"
        )
    return "\n".join(parts)


def anchor_of(name: str) -> str:
    """Return the anchor of a file on the page of its directory."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def with_links_of_the_site(root: Path, page: str, markdown: str) -> str:
    """Return the text of a page with the links that leave `docs`, or lead to examples, mended."""
    own = page.removeprefix("repository/") if page.startswith("repository/") else f"docs/{page}"

    def mended(found: re.Match[str]) -> str:
        meant = found["address"] or posixpath.join(posixpath.dirname(own), found["path"])
        meant = posixpath.normpath(meant)
        target = _place(root, meant)
        if target is None:
            return found[0]
        path, _, anchor = target.partition("#")
        relative = os.path.relpath(path, posixpath.dirname(page) or ".")
        return relative + (f"#{anchor}" if anchor else found["anchor"] or "")

    lines, is_code = [], False
    for line in markdown.split("\n"):
        if FENCE.match(line):
            is_code = not is_code
        lines.append(line if is_code else LINK.sub(mended, line))
    return "\n".join(lines)


def _place(root: Path, meant: str) -> str | None:
    """Return where the site has a path of the repository; None if it has not."""
    path = PurePosixPath(meant)
    if path.is_relative_to("docs/examples"):
        return _example(path.relative_to("docs/examples"))
    if path.is_relative_to("docs"):
        return str(path.relative_to("docs"))
    if meant == "LICENSE":
        return "repository/LICENSE.txt"
    if path.suffix == ".md" and (root / path).exists():
        return f"repository/{meant}"
    return None


def _example(path: PurePosixPath) -> str | None:
    if not path.parts:
        return None
    directory, *rest = path.parts
    page = f"examples/{directory}.md"
    return f"{page}#{anchor_of('/'.join(rest))}" if rest else page
