"""The site of the documentation is built without a warning, is whole, and asks nobody else for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import ROOT

LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data")}
ELSEWHERE = re.compile(r"^(?:https?:)?//")


class Page(HTMLParser):
    """What a page loads, where it leads, and which places in it have a name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads_to: list[str] = []
        self.names: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what a tag says."""
        for name, value in attrs:
            if name in {"id", "name"} and value:
                self.names.add(value)
            elif (tag, name) in LOADED and value:
                self.loads.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.leads_to.append(value)


def build(source: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does, with nothing kept from before."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(to / "kept"), "-c", "docs"]
    return subprocess.run(
        [*command, "-b", "html", ".", str(to / "site")],
        cwd=source,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("docs")
    done = build(ROOT, folder)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder / "site"


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_in_the_navigation(site: Path, built: dict[Path, Page]) -> None:
    """All pages of docs/, the README and its like, and the models' cards; the first page leads to them."""
    wanted = {path.relative_to(ROOT).with_suffix(".html") for path in (ROOT / "docs").glob("*.md")}
    wanted |= {path.relative_to(ROOT).with_suffix(".html") for path in (ROOT / "models").rglob("MODEL_CARD.md")}
    wanted |= {Path("README.html"), Path("CONTRIBUTING.html"), Path("CHANGELOG.html")}
    assert wanted <= {path.relative_to(site) for path in built}
    index = site / "docs/index.html"
    listed = {(index.parent / unquote(urlsplit(to).path)).resolve() for to in built[index].leads_to}
    assert {site / page for page in wanted} - {index} <= listed
    assert "url=docs/index.html" in (site / "index.html").read_text()


def test_the_navigation_is_that_of_the_index(site: Path) -> None:
    """Its captions are the headings of docs/index.md: tutorial, how-to, reference, explanation, project."""
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/index.md").read_text(), re.MULTILINE)
    assert [heading.split()[0] for heading in headings] == ["Tutorial", "How-to", "Reference", "Explanation", "The"]
    captions = re.findall(
        r'class="caption"[^>]*><span class="caption-text">([^<]*)<', (site / "docs/ideas.html").read_text()
    )
    assert captions == headings


def test_every_link_leads_somewhere(built: dict[Path, Page]) -> None:
    """Each link inside the site has its file, and each # its place there."""
    broken = []
    for path, page in built.items():
        for to in (*page.leads_to, *page.loads):
            parts = urlsplit(to)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.is_file()
            if parts.fragment and target in built:
                there = unquote(parts.fragment) in built[target].names
            broken += [] if there else [f"{path.name}: {to}"]
    assert broken == []


def test_the_site_asks_nobody_else(site: Path, built: dict[Path, Page]) -> None:
    """No script, style, font or picture comes from elsewhere; only links that a reader follows go there."""
    loaded = [f"{path.name}: {what}" for path, page in built.items() for what in page.loads if ELSEWHERE.match(what)]
    for style in site.rglob("*.css"):
        urls = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s;]+)", style.read_text())
        loaded += [f"{style.name}: {url}" for url in urls if ELSEWHERE.match(url)]
    assert loaded == []


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    """A page or an anchor that is not there is an error that names the line."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/conf.py").write_text((ROOT / "docs/conf.py").read_text())
    (tmp_path / "docs/index.md").write_text("# Index\n\n## Pages\n\n| page | |\n|---|---|\n| [a](a.md) | |\n")
    (tmp_path / "docs/a.md").write_text("# A\n\n[right](index.md#pages)\n[wrong](index.md#nowhere)\n[gone](b.md)\n")
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    assert [line.partition(": WARNING: ")[0].rpartition("/")[2] for line in done.stderr.splitlines()] == ["a.md:3"] * 2
    assert "'nowhere'" in done.stderr
    assert "'b.md'" in done.stderr
