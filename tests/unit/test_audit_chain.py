"""Verifying the audit log, on entries made here: each kind of tampering is found where it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from enopax_core.events.audit import MOST, Verification
from enopax_core.records.audit import Anchor, AuditEntry

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def sealed(entry: AuditEntry, position: int, previous: str) -> AuditEntry:
    """An entry in its place."""
    entry = replace(entry, position=position, previous=previous)
    return replace(entry, hash=entry.digest())


def log(length: int = 5) -> list[AuditEntry]:
    """An untouched log."""
    found: list[AuditEntry] = []
    for number in range(1, length + 1):
        entry = AuditEntry(
            at=MOMENT + timedelta(seconds=number),
            principal="key-1",
            credential="key-1",
            action="update",
            detail={"endpoint": "é"},
        )
        found.append(sealed(entry, number, found[-1].hash or "" if found else ""))
    return found


def anchor(entry: AuditEntry) -> Anchor:
    """The anchor of an entry."""
    return Anchor(position=entry.position, hash=entry.hash or "")


def broken(entries: Sequence[AuditEntry], head: Anchor | None = None, *anchors: Anchor) -> list[str]:
    """What verifying says."""
    verification = Verification(anchors=anchors)
    verification.take(entries)
    verification.finish(head)
    return [one.message for one in verification.breaks]


def test_an_untouched_log_is_intact() -> None:
    assert broken(log(), anchor(log()[-1]), anchor(log()[1])) == []


def test_an_empty_log_is_intact() -> None:
    assert broken([], Anchor(position=0, hash="")) == []


@pytest.mark.parametrize(
    "change",
    [{"principal": "key-2"}, {"action": "read"}, {"at": MOMENT}, {"detail": {}}, {"resource": "r"}, {"previous": "0" * 64}],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_field_is_found(change: dict[str, object]) -> None:
    entries = log()
    entries[2] = replace(entries[2], **change)  # type: ignore[arg-type]  # each a field of its type
    assert broken(entries, anchor(entries[-1])) == ["Entry 3 was changed."]


def test_a_changed_entry_with_a_new_hash_is_found_by_the_next_one() -> None:
    entries = log()
    entries[2] = sealed(replace(entries[2], principal="key-2"), 3, entries[1].hash or "")
    assert broken(entries, anchor(entries[-1])) == ["Entry 4 does not follow the one before it: that was replaced."]


def test_a_changed_last_entry_with_a_new_hash_is_found_by_the_head() -> None:
    entries = log()
    head = anchor(entries[-1])
    entries[-1] = sealed(replace(entries[-1], principal="key-2"), 5, entries[3].hash or "")
    assert broken(entries, head) == ["The log says that it ends with entry 5 and another hash."]


def test_a_cut_out_entry_is_found() -> None:
    entries = log()
    assert broken([*entries[:2], *entries[4:]], anchor(entries[-1])) == ["Entries 3 to 4 are missing."]


def test_a_cut_out_beginning_is_found() -> None:
    entries = log()
    assert broken(entries[2:], anchor(entries[-1])) == ["Entries 1 to 2 are missing."]


def test_a_log_closed_up_after_cutting_is_found() -> None:
    entries = log()
    moved = [replace(entry, position=entry.position - 1) for entry in entries[3:]]
    assert broken([*entries[:2], *moved])[0] == "Entry 3 was changed."


def test_an_inserted_entry_is_found() -> None:
    entries = log()
    inserted = sealed(entries[0], 3, entries[1].hash or "")
    assert broken([*entries[:2], inserted, *entries[2:]])[0] == "Entry 3 is out of order."


def test_a_cut_tail_is_found() -> None:
    entries = log()
    assert broken(entries[:3], anchor(entries[-1])) == ["Entries 4 to 5 were cut off at the end."]


def test_a_log_rewritten_as_a_whole_is_found_by_an_anchor_alone() -> None:
    before, rewritten = log(), [sealed(replace(log()[0], principal="key-2"), 1, "")]
    for entry in log()[1:]:
        rewritten.append(sealed(entry, entry.position, rewritten[-1].hash or ""))
    assert broken(rewritten, anchor(rewritten[-1])) == []
    assert broken(rewritten, anchor(rewritten[-1]), anchor(before[2])) == ["Entry 3 is not the one that the anchor names."]


def test_a_tail_cut_together_with_the_head_is_found_by_an_anchor_alone() -> None:
    entries = log()
    assert broken(entries[:3], anchor(entries[2])) == []
    assert broken(entries[:3], anchor(entries[2]), anchor(entries[4])) == ["Entry 5, which the anchor names, is missing."]


def test_entries_from_before_the_chain_are_counted_and_accepted() -> None:
    old = [replace(entry, previous=None, hash=None) for entry in log(2)]
    verification = Verification()
    verification.take([*old, sealed(log(3)[2], 3, "")])
    verification.finish(None)
    assert (verification.breaks, verification.unchained, verification.entries) == ([], 2, 3)


def test_a_hash_taken_away_is_found() -> None:
    entries = log()
    assert broken([*entries[:2], replace(entries[2], hash=None), *entries[3:]])[0] == "Entry 3 has no hash."


def test_hashes_taken_away_from_the_beginning_on_are_found() -> None:
    entries = log()
    old = [replace(entry, previous=None, hash=None) for entry in entries[:2]]
    assert broken([*old, *entries[2:]]) == ["Entry 3 does not follow the one before it: that was replaced."]


def test_a_page_more_makes_no_difference() -> None:
    whole, paged = Verification(), Verification()
    whole.take(log())
    for entry in log():
        paged.take([entry])
    assert (whole.breaks, whole.head, whole.entries) == (paged.breaks, paged.head, paged.entries)


def test_only_the_first_breaks_are_told() -> None:
    assert len(broken([replace(entry, action="other") for entry in log(MOST + 10)])) == MOST


def test_an_exported_entry_is_read_back_the_same() -> None:
    for entry in log():
        assert AuditEntry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_the_hash_is_that_of_the_documented_form() -> None:
    entry = sealed(AuditEntry(at=MOMENT, principal="p", credential="c", action="a"), 1, "")
    assert entry.hash == "dc299db46eeab01808071e9613e02e4fe14dfe80a0930e480ccbc3628c7f44b5"


@pytest.mark.parametrize("text", ["", "1", "0:" + "0" * 64, "1:" + "0" * 63, "1:" + "G" * 64, "-1:" + "0" * 64])
def test_what_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="123:0f4c"):
        Anchor.parse(text)


def test_an_anchor_is_read_as_it_is_written() -> None:
    assert Anchor.parse(str(anchor(log()[-1]))) == anchor(log()[-1])
