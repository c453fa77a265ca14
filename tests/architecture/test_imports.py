"""Who may import whom (HOUSE: app, cli -> rooms -> web, jobs -> ledger, keys -> storage -> kernel)."""

from __future__ import annotations

from .source import imports, modules

FLOORS = [["kernel"], ["storage"], ["ledger", "keys"], ["web", "jobs"]]
ROOMS = [
    "identity", "access", "subscriptions", "billing", "mail", "edge", "backups", "monitoring", "disclosure",
    "privacy", "incidents", "trust",
]  # fmt: skip
ABOVE = {
    "app", "cli", "front", "serving", "testing", "documents", "landing", "visitors", "parts", "logging", "apart",
    "approving", "messages",
    "commands",
}  # fmt: skip
# keys and ledger keep their pages, jobs and checks with them; those files stand on the floor of the rooms
ROOM_FILES = {"pages", "jobs", "checks", "operations"}
HEIGHT = {name: height for height, names in enumerate([*FLOORS, ROOMS]) for name in names}


def height(module: str) -> int:
    top, _, rest = module.partition(".")
    if top in ABOVE or not top:
        return len(FLOORS) + 1
    if top in ("keys", "ledger") and rest.partition(".")[0] in ROOM_FILES:
        return len(FLOORS)
    return HEIGHT[top]


def top(module: str) -> str:
    return module.partition(".")[0]


def test_nothing_imports_from_a_floor_above() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, tree in modules()
        if name
        for target in imports(name, tree)
        if top(target) != top(name) and height(target) > height(name)
    ]
    assert wrong == []


def test_rooms_use_each_other_only_through_their_face() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, tree in modules()
        for target in imports(name, tree)
        if top(name) in ROOMS and top(target) in ROOMS and top(target) != top(name) and "." in target
    ]
    assert wrong == []


def test_rooms_do_not_import_in_a_circle() -> None:
    uses: dict[str, set[str]] = {room: set() for room in ROOMS}
    for name, tree in modules():
        if top(name) in uses:
            uses[top(name)] |= {top(target) for target in imports(name, tree) if top(target) in ROOMS} - {top(name)}
    while uses:
        free = {room for room, targets in uses.items() if not targets & uses.keys()}
        assert free, f"a circle among {sorted(uses)}: { {room: sorted(t & uses.keys()) for room, t in uses.items()} }"
        uses = {room: targets for room, targets in uses.items() if room not in free}


def test_the_service_never_imports_the_sandbox_or_the_tests() -> None:
    import ast

    for name, tree in modules():
        for node in ast.walk(tree):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                named = [node.module or ""]
            assert not [item for item in named if item.split(".")[0] in ("sandbox", "tests", "verifier")], name


def test_only_tests_import_testing() -> None:
    wrong = [name for name, tree in modules() if top(name) != "testing" and "testing" in map(top, imports(name, tree))]
    assert wrong == []
