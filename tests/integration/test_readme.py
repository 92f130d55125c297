"""README.md: short, and right in its links, names and figures. tests/docs/ runs its commands."""

import re
import struct

import pytest

from hookfarm.store import keys
from tests.support.doc_pages import pages, text_of
from tests.support.farm_processes import CHECKOUT

README = (CHECKOUT / "README.md").read_text()
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_it_has_at_most_200_lines() -> None:
    assert len(README.splitlines()) <= 200


def links() -> list[tuple[str, str]]:
    return [(page, link) for page in pages() for link in _LINK.findall(text_of(page)) if "://" not in link]


@pytest.mark.parametrize(("page", "link"), links())
def test_a_link_leads_to_a_page_and_a_heading(page: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (CHECKOUT / page).parent / path if path else CHECKOUT / page
    assert target.exists()
    if anchor:
        assert anchor in anchors(target.read_text())


def anchors(text: str) -> set[str]:
    """The ids of a page's headings, as GitHub and MkDocs make them."""
    without_blocks = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", without_blocks, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_of_the_documentation_is_linked() -> None:
    linked = set(_LINK.findall(README))
    written = {page for page in pages() if page.startswith(("docs/tutorials/", "docs/how-to/"))}
    assert written <= linked
    reference = {f"docs/reference/{path.name}" for path in (CHECKOUT / "docs" / "reference").glob("*.md")}
    assert reference <= linked


def test_its_picture_names_the_services_in_the_order_of_the_data() -> None:
    picture = README.partition("```text\n")[2].partition("```")[0]
    places = [picture.index(name) for name in ("event_ingestor", *keys.SERVICES[:2])]
    assert places == sorted(places)


def test_each_figure_names_the_program_that_measures_it() -> None:
    table = README.partition("| figure | measured | program |")[2].partition("\n\n")[0]
    programs = re.findall(r"\| `([\w.]+)` \|$", table, re.MULTILINE)
    assert len(programs) == len(table.strip().splitlines()) - 1 == 12
    assert all((CHECKOUT / "benchmarks" / program).is_file() for program in programs)


def test_its_screenshots_are_pictures() -> None:
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', README)
    assert pictures
    for picture in pictures:
        header = (CHECKOUT / picture).read_bytes()[:24]
        assert header.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", header[16:24])) > 500
