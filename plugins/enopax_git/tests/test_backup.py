"""Copies of repositories that are pushed to meanwhile: whole, whatever moment they are made at."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from enopax_git.backup import back_up, copy_repository, restore
from enopax_git.store import Store

PUSHES = 15


def git(*arguments: str | Path, cwd: Path) -> str:
    """Run Git, which must succeed."""
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout


def commit(tree: Path, number: int) -> None:
    """One more commit."""
    (tree / f"file-{number}").write_text(f"{number}\n" * 100)
    git("add", "--all", cwd=tree)
    git("commit", "--quiet", "--message", str(number), cwd=tree)


def refs(repository: Path) -> list[str]:
    """What its references point to."""
    return git("for-each-ref", "--format", "%(objectname) %(refname)", cwd=repository).splitlines()


def fsck(repository: Path) -> str:
    """What Git says of it; it must find nothing wrong."""
    return git("fsck", "--full", "--strict", "--no-dangling", cwd=repository)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one repository, one commit in it."""
    store = Store(tmp_path / "git")
    store.prepare()
    store.create("one", "main", "The first.")
    return store


@pytest.fixture
def tree(store: Store, tmp_path: Path) -> Path:
    """A clone of it with a commit that was pushed."""
    git("clone", "--quiet", store.path("one"), "tree", cwd=tmp_path)
    commit(tmp_path / "tree", 0)
    git("push", "--quiet", "origin", "main", cwd=tmp_path / "tree")
    return tmp_path / "tree"


@pytest.mark.parametrize("unpack", ["1", "1000"], ids=["packs", "loose objects"])
def test_a_copy_made_while_people_push_is_whole(store: Store, tree: Path, tmp_path: Path, unpack: str) -> None:
    git("config", "receive.unpackLimit", unpack, cwd=store.path("one"))
    failures: list[AssertionError] = []

    def push() -> None:
        try:
            for number in range(1, PUSHES + 1):
                commit(tree, number)
                git("push", "--quiet", "origin", f"HEAD:refs/heads/b{number % 3}/{number}", "HEAD:main", cwd=tree)
        except AssertionError as error:
            failures.append(error)

    pushing = threading.Thread(target=push)
    pushing.start()
    seen: set[int] = set()
    while pushing.is_alive():
        copy = tmp_path / f"copy-{len(list(tmp_path.glob('copy-*')))}"
        copy_repository(store.path("one"), copy)
        assert fsck(copy) == ""
        seen.add(len(refs(copy)))
    assert failures == []
    assert len(seen) > 1, "nothing was pushed meanwhile"


def test_a_copy_has_the_same_references_and_settings(store: Store, tree: Path, tmp_path: Path) -> None:
    git("tag", "v1", cwd=tree)
    git("push", "--quiet", "--tags", cwd=tree)
    git("pack-refs", "--all", cwd=store.path("one"))
    git("push", "--quiet", "origin", "HEAD:refs/heads/loose", cwd=tree)
    copy_repository(store.path("one"), tmp_path / "copy")
    assert refs(tmp_path / "copy") == refs(store.path("one"))
    for name in ("HEAD", "config", "description", "packed-refs"):
        assert (tmp_path / "copy" / name).read_bytes() == (store.path("one") / name).read_bytes()


def test_an_empty_repository_stays_one(store: Store, tmp_path: Path) -> None:
    copy_repository(store.path("one"), tmp_path / "copy")
    assert fsck(tmp_path / "copy").startswith("notice: HEAD points to an unborn branch") or refs(tmp_path / "copy") == []


def test_objects_are_linked_and_not_copied(store: Store, tree: Path, tmp_path: Path) -> None:
    git("gc", "--quiet", cwd=store.path("one"))
    copy_repository(store.path("one"), tmp_path / "copy")
    packs = list((store.path("one") / "objects/pack").glob("*.pack"))
    assert packs
    assert all((tmp_path / "copy/objects/pack" / pack.name).samefile(pack) for pack in packs)


def test_a_copy_keeps_what_it_had_when_the_original_is_repacked_and_changed(store: Store, tree: Path, tmp_path: Path) -> None:
    copy_repository(store.path("one"), tmp_path / "copy")
    before = refs(tmp_path / "copy")
    commit(tree, 1)
    git("push", "--quiet", "origin", "main", cwd=tree)
    git("gc", "--quiet", "--prune=now", cwd=store.path("one"))
    store.configure("one", "trunk", "Changed.")
    assert refs(tmp_path / "copy") == before
    assert (tmp_path / "copy/HEAD").read_text() == "ref: refs/heads/main\n"
    assert fsck(tmp_path / "copy") == ""


def test_where_links_are_impossible_objects_are_copied(
    store: Store, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    copy_repository(store.path("one"), tmp_path / "copy")
    assert fsck(tmp_path / "copy") == ""
    assert refs(tmp_path / "copy") == refs(store.path("one"))


def test_what_a_push_has_not_finished_is_left_out(store: Store, tree: Path, tmp_path: Path) -> None:
    objects = store.path("one") / "objects"
    for name in ("tmp_objdir-incoming-x/pack/pack-1.pack", "pack/tmp_pack_x", "12/tmp_obj_x", "pack/pack-12.pack"):
        (objects / name).parent.mkdir(parents=True, exist_ok=True)
        (objects / name).touch()
    (store.path("one") / "refs/heads/main.lock").touch()
    copy_repository(store.path("one"), tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").rglob("*")}
    assert not {name for name in names if name.startswith("tmp_") or name.endswith((".lock", ".pack"))}


def test_live_and_deleted_repositories_and_the_host_key_come_back(store: Store, tree: Path, tmp_path: Path) -> None:
    store.create("two", "main", "")
    store.put_aside("two")
    (store.root / "ssh_host_ed25519_key").write_text("key")
    (store.root / "ssh_host_ed25519_key").chmod(0o600)
    (tmp_path / "folder").mkdir()
    back_up(store.root, tmp_path / "folder")
    restore(tmp_path / "folder", tmp_path / "new")
    again = Store(tmp_path / "new")
    again.prepare()
    assert again.ids() == ["one", "two"]
    assert refs(again.path("one")) == refs(store.path("one"))
    assert again.bring_back("two")
    assert (again.root / "ssh_host_ed25519_key").read_text() == "key"
    assert (again.root / "ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600
