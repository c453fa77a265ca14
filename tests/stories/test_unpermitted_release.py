"""A release that nobody permitted does not start where only permitted ones may."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stories.running import start

pytestmark = [pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]


def test_it_starts_before_there_is_anybody_and_then_only_when_permitted(tmp_path: Path) -> None:
    first = start(tmp_path, SUBS_ACCESS_DEPLOYMENTS="permitted")  # somebody has to be able to permit the first one
    made = first.subs("bootstrap", "ada@example.org", "Ada", "--and", "Bob <bob@example.org>")
    assert made.returncode == 0, made.stderr
    digest = first.subs("deployments", "digest").stdout.strip()
    asked = first.subs("deployments", "verify")
    first.stop()
    assert asked.returncode == 1
    assert digest in asked.stdout + asked.stderr
    with pytest.raises(AssertionError, match="Nobody permitted this release here") as refused:
        start(tmp_path, SUBS_ACCESS_DEPLOYMENTS="permitted")
    assert digest in str(refused.value)
