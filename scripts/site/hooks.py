"""What MkDocs runs while it builds the documentation: generated parts, and pages from outside."""

from pathlib import Path

import commands
import outside
import routes
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent

GENERATED = {
    "commands": commands.server_commands,
    "client commands": commands.client_commands,
    "routes": routes.routes,
}
"""What makes the rest of a page, by the name in its line `<!-- generated: NAME -->`."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages from outside `docs` to the navigation."""
    config.nav = [
        *(config.nav or []),
        {"Examples": [{one.title: one.path} for one in outside.examples(ROOT)]},
        {"Project": [{one.title: one.path} for one in outside.documents(ROOT)]},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add those pages themselves."""
    for one in (*outside.examples(ROOT), *outside.documents(ROOT)):
        files.append(File.generated(config, one.path, content=one.text))
    files.append(
        File.generated(config, "repository/LICENSE.txt", abs_src_path=str(ROOT / "LICENSE"))
    )
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Add what is generated, and let links lead to where the site has what they mean."""
    for name, generate in GENERATED.items():
        marker = f"<!-- generated: {name} -->"
        if marker in markdown:
            markdown = markdown.replace(marker, generate())
    return outside.with_links_of_the_site(ROOT, page.file.src_uri, markdown)


def on_post_page(output: str, **_: object) -> str:
    """Name the search dialog, which the theme does not, for screen readers."""
    return output.replace(' role="dialog">', ' role="dialog" aria-label="Search">')
