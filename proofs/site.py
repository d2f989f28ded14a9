"""The documentation in a browser: readable by everybody, on a phone, in the dark, offline.

Builds the site and opens pages in Chromium, wide and narrow, light and dark. axe must find no
serious or critical violation, no page may be wider than its window, and nothing may be asked of
another host; the exit code is 1 if not. Needs Chromium and npm, which fetches axe-core and
puppeteer-core.
"""

import argparse
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PACKAGES = ("axe-core@4", "puppeteer-core@24")
PAGES = (
    "index.html",
    "guides/python-client.html",
    "reference/messages.html",
    "reference/serve.html",
    "reference/routes.html",
    "reference/api/storage.html",
    "explanation/precedence.html",
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base has it
        pass


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove site", description=__doc__)
    parser.add_argument("--screenshots", type=Path, help="directory for a picture of each page")
    parser.add_argument("--all", action="store_true", help="every page of the site")
    parser.add_argument("pages", nargs="*", default=PAGES, help="paths of pages in the site")
    chosen = parser.parse_args()
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None or shutil.which("npm") is None:
        print("needs Chromium and npm: apt-get install chromium npm", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch, "site")
        _run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(site)])
        if chosen.all:
            chosen.pages = sorted(str(page.relative_to(site)) for page in site.rglob("*.html"))
        _run(["npm", "install", "--silent", "--prefix", scratch, *PACKAGES])
        handler = functools.partial(_Quiet, directory=str(site))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            found = _look(scratch, browser, server.server_address[1], chosen)
        finally:
            server.shutdown()
    print(f"{len(chosen.pages)} pages, wide and narrow, light and dark: {len(found)} problems")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


def _run(command: Sequence[str], **options: Any) -> str:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command,
        check=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment,
        **options,
    )
    return done.stdout


def _look(scratch: str, browser: str, port: int, chosen: argparse.Namespace) -> list[str]:
    if chosen.screenshots:
        chosen.screenshots.mkdir(parents=True, exist_ok=True)
    task = {
        "modules": str(Path(scratch, "node_modules")),
        "browser": browser,
        "address": f"http://127.0.0.1:{port}/",
        "pages": [*chosen.pages],
        "screenshots": str(chosen.screenshots.resolve()) if chosen.screenshots else None,
    }
    program = Path(__file__).with_name("site_in_browser.mjs")
    output = _run(["node", str(program)], input=json.dumps(task))
    problems: list[str] = json.loads(output)
    return problems


if __name__ == "__main__":
    sys.exit(main())
