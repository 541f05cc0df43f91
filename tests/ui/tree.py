"""The tree of a session's page, as a test reads it: by scrolling, for only the rows in sight are in the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

#: Scrolls from top to bottom; returns [text → the places it was seen at, the most rows that were in the page at once].
_COLLECT: Final = """async (tree, pattern) => {
  const wanted = new RegExp(pattern), found = {};
  const frame = () => new Promise(requestAnimationFrame);
  let most = 0;
  tree.scrollTop = 0;
  for (let isLast = false; ; ) {
    await frame(); await frame();
    const rows = tree.querySelectorAll('[role=treeitem]');
    most = Math.max(most, rows.length);
    for (const row of rows) {
      const text = row.textContent.match(wanted)?.[0];
      if (text !== undefined) (found[text] ??= new Set()).add(Number(row.closest('[data-index]').dataset.index));
    }
    if (isLast) break;
    tree.scrollTop += tree.clientHeight / 2;
    isLast = tree.scrollTop + tree.clientHeight >= tree.scrollHeight - 1;
  }
  return [Object.entries(found).map(([text, places]) => [text, [...places]]), most];
}"""


@dataclass(frozen=True)
class Tree:
    """The tree on `page`."""

    page: Page

    @property
    def element(self) -> Locator:
        return self.page.get_by_role("tree")

    def row(self, text: str | re.Pattern[str]) -> Locator:
        """The row that has this text; it has to be in sight."""
        return self.page.get_by_role("treeitem").filter(has_text=text).last

    def scroll_to(self, top: str) -> None:
        """Scroll there (an expression of `tree`), once the page itself has shown what its address names.

        It does so until the second frame from here.
        """
        self.element.evaluate(
            "async tree => {"
            " for (let left = 3; left > 0; left--) await new Promise(requestAnimationFrame);"
            f" tree.scrollTop = {top} }}"
        )

    def hold_still(self) -> None:
        """Follow the newest row no longer."""
        following = self.page.get_by_role("button", name="Following")
        if following.count():
            following.click()

    def collect(self, pattern: str) -> tuple[dict[str, list[int]], int]:
        """What the pattern finds in the rows' text → in which rows, from 0; and the most rows there were at once."""
        self.hold_still()
        found: list[Any] = self.element.evaluate(_COLLECT, pattern)
        return dict(found[0]), int(found[1])
