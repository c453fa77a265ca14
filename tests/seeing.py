"""Axe-core on a whole page.

A click answers before the new page's style sheet is there, and an unstyled page has other colours than a person sees.
"""

from __future__ import annotations

from typing import Any

from axe_playwright_python import async_playwright as later
from axe_playwright_python import sync_playwright as now
from axe_playwright_python.base import AxeResults
from playwright.async_api import Page as AsyncPage
from playwright.sync_api import Page

WHOLE = """async () => {
  if (document.readyState !== 'complete') await new Promise(done => addEventListener('load', done, { once: true }));
  await document.fonts.ready;
  // a colour that is still fading is not the one that is read
  await Promise.race([
    new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))),
    new Promise(done => setTimeout(done, 500)),
  ]);
  const ending = document.getAnimations().filter(one => one.effect.getComputedTiming().endTime !== Infinity);
  await Promise.race([
    Promise.allSettled(ending.map(one => one.finished)), new Promise(done => setTimeout(done, 2000)),
  ]);
}"""


def judged(page: Page, **options: Any) -> AxeResults:
    """What axe-core finds on the page, once it is loaded."""
    page.evaluate(WHOLE)
    return now.Axe().run(page, options=options or None)


async def judged_later(page: AsyncPage, **options: Any) -> AxeResults:
    """The same for a page that is driven asynchronously."""
    await page.evaluate(WHOLE)
    return await later.Axe().run(page, options=options or None)
