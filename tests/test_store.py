"""A key says all that matters and nothing else; a file is whole or as it was before."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from torch.testing import assert_close

from pkt_core.base import files, fingerprint, sealed, staging, store
from pkt_core.errors import StoreError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


class Recipe(BaseModel):
    name: str
    layers: tuple[int, ...] = (0,)


class OtherRecipe(BaseModel):
    name: str
    layers: tuple[int, ...] = (0,)


def tensors() -> dict[str, torch.Tensor]:
    return {"half": torch.randn(3, 4).to(torch.bfloat16), "ids": torch.arange(5), "none": torch.zeros(0, 2)}


def backwards(value):
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


def same_typed(a, b) -> bool:
    """Equality that tells 1, 1.0 and True apart, and 0.0 from -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_typed(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same_typed, a, b))
    return repr(a) == repr(b)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), PLAIN, max_size=4))
def test_fingerprint_ignores_the_order_of_keys(parts):
    assert fingerprint.fingerprint(**parts) == fingerprint.fingerprint(**backwards(parts))


@given(PLAIN, PLAIN)
def test_fingerprints_are_equal_exactly_where_values_are(a, b):
    assert (fingerprint.fingerprint(part=a) == fingerprint.fingerprint(part=b)) == same_typed(a, b)


def test_fingerprint_tells_types_and_models_apart():
    different = [1, 1.0, "1", True, None, [1], [[1]], {"a": 1}, [["a", 1]], ["list", 1], ["dict", ["a", 1]]]
    different += [
        Recipe(name="a"),
        OtherRecipe(name="a"),
        Recipe(name="b"),
        Recipe(name="a", layers=(0, 1)),
        {"name": "a"},
    ]
    assert len({fingerprint.fingerprint(part=value) for value in different}) == len(different)
    assert fingerprint.fingerprint(part=(1, 2)) == fingerprint.fingerprint(part=[1, 2])
    assert fingerprint.fingerprint(part=Recipe(name="a")) == fingerprint.fingerprint(part=Recipe(name="a", layers=(0,)))


def test_fingerprint_is_the_same_in_another_process():
    code = (
        "from pkt_core.base.store import fingerprint; print(fingerprint(b={'x': 1.5, 'a': {'é': [None]}}, version=3))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert other.stdout.strip() == fingerprint.fingerprint(version=3, b={"a": {"é": [None]}, "x": 1.5})


@pytest.mark.parametrize("value", [torch.zeros(1), {1: "a"}, {"a": {1, 2}}, [Path("a")]], ids=repr)
def test_fingerprint_refuses_what_has_no_stable_name(value):
    with pytest.raises(TypeError, match="plain values and pydantic models"):
        fingerprint.fingerprint(part=value)


def test_cache_root_follows_the_environment_then_the_checkout_then_home(cache, monkeypatch, tmp_path):
    assert files.cache_root() == cache
    monkeypatch.delenv("PKT_CACHE")
    assert files.cache_root() == Path(store.__file__).parents[2] / "cache"
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_root() == tmp_path / ".cache" / "pkt"


def test_artefact_comes_back_bit_for_bit():
    saved, meta = tensors(), {"prompts": "general", "n": 3, "value": 0.1}
    folder = store.save_artefact("grid", "abc", saved, meta)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "tensors.safetensors"]
    loaded, facts = store.load_artefact("grid", "abc")
    assert facts == meta
    assert_close(loaded, saved, rtol=0, atol=0)


def test_artefact_takes_views_of_one_storage_and_no_tensor_at_all():
    whole = torch.arange(12.0).reshape(3, 4)
    store.save_artefact("views", "a", {"whole": whole, "column": whole[:, 1], "turned": whole.T, "again": whole}, {})
    loaded, _ = store.load_artefact("views", "a")
    expected = {"whole": whole, "column": whole[:, 1], "turned": whole.T.contiguous(), "again": whole}
    assert_close(loaded, expected)
    store.save_artefact("facts", "a", {}, {"x": [1]})
    assert store.load_artefact("facts", "a") == ({}, {"x": [1]})


def test_another_save_of_a_key_replaces_and_leaves_nothing_behind():
    store.save_artefact("grid", "abc", {"x": torch.zeros(2)}, {"n": 1})
    folder = store.save_artefact("grid", "abc", {"x": torch.ones(3)}, {"n": 2})
    loaded, meta = store.load_artefact("grid", "abc")
    assert meta == {"n": 2}
    assert_close(loaded["x"], torch.ones(3))
    assert [path.name for path in folder.parent.iterdir()] == ["grid-abc"]


def test_absent_artefact_is_none():
    assert store.load_artefact("grid", "abc") is None


def test_a_crash_between_tensors_and_manifest_leaves_no_artefact(monkeypatch):
    def crash(*_args, **_keywords):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_sealed", crash)
        with pytest.raises(KeyboardInterrupt):
            store.save_artefact("grid", "abc", tensors(), {})
    assert store.load_artefact("grid", "abc") is None
    store.save_artefact("grid", "abc", tensors(), {"n": 1})
    assert store.load_artefact("grid", "abc")[1] == {"n": 1}


def test_a_folder_without_manifest_counts_as_absent_and_is_replaced():
    folder = store.save_artefact("grid", "abc", tensors(), {})
    (folder / store.MANIFEST).unlink()
    assert store.load_artefact("grid", "abc") is None
    store.save_artefact("grid", "abc", tensors(), {"n": 2})
    assert store.load_artefact("grid", "abc")[1] == {"n": 2}


KILLED = (
    "import os, signal, torch; from pkt_core.base import store;"
    "store.write_sealed = lambda *a, **k: {end};"
    "store.save_artefact('grid', 'abc', {{'x': torch.zeros(4)}}, {{}})"
)


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(cache, monkeypatch):
    monkeypatch.setattr(store, "_swept", set())
    code = KILLED.format(end="print('writing', flush=True) or __import__('time').sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as living:
        try:
            assert living.stdout.readline() == "writing\n"
            code = KILLED.format(end="os.kill(os.getpid(), signal.SIGKILL)")
            assert subprocess.run([sys.executable, "-c", code]).returncode == -9
            left = set((cache / "artefacts").iterdir())
            (theirs,) = [path for path in left if f"-{living.pid}-" in path.name]
            assert len(left) == 2
            assert store.load_artefact("grid", "abc") is None
            assert [path.name for path in (cache / "artefacts").iterdir()] == [theirs.name]
            store.save_artefact("grid", "abc", {}, {})
            assert {path.name for path in (cache / "artefacts").iterdir()} == {"grid-abc", theirs.name}
        finally:
            living.kill()
    assert staging.sweep(cache) == [theirs]
    assert [path.name for path in (cache / "artefacts").iterdir()] == ["grid-abc"]


def test_what_cannot_be_told_whose_it_is_is_swept_after_a_day_and_other_names_never(tmp_path):
    mine = staging.beside(tmp_path / "a.json")
    elsewhere = tmp_path / ".a.json.000000-1-1-0123abcd"
    former = tmp_path / ".targets-0f.0123abcd"
    for path in (mine, elsewhere, former, tmp_path / ".gitignore", tmp_path / "plain"):
        path.write_text("")
    assert staging.sweep(tmp_path) == []
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    assert set(staging.sweep(tmp_path)) == {elsewhere, former}
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, ".gitignore", "plain"}


def spoil_manifest(folder: Path) -> None:
    (folder / store.MANIFEST).write_text("{")


def empty_manifest(folder: Path) -> None:
    (folder / store.MANIFEST).write_text("[]")


def truncate(folder: Path) -> None:
    path = folder / store.TENSORS
    path.write_bytes(path.read_bytes()[:-3])


def flip_one_bit(folder: Path) -> None:
    path = folder / store.TENSORS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def no_safetensors(folder: Path) -> None:
    data = b"garbage"
    (folder / store.TENSORS).write_bytes(data)
    manifest = json.loads((folder / store.MANIFEST).read_text())
    digest = store.hashlib.sha256(data).hexdigest()
    (folder / store.MANIFEST).write_text(json.dumps(manifest | {"bytes": len(data), "sha256": digest}))


def lose_tensors(folder: Path) -> None:
    (folder / store.TENSORS).unlink()


@pytest.mark.parametrize(
    "damage", [spoil_manifest, empty_manifest, truncate, flip_one_bit, no_safetensors, lose_tensors]
)
def test_damage_is_told_moved_aside_and_counts_as_absent(damage, caplog):
    for number in (1, 2):
        folder = store.save_artefact("grid", "abc", tensors(), {})
        assert store.load_artefact("grid", "abc") is not None
        damage(folder)
        caplog.clear()
        assert store.load_artefact("grid", "abc") is None
        assert len(caplog.records) == 1
        assert "The stored grid-abc is damaged" in caplog.text
        assert f"moved to grid-abc.damaged-{number} and will be computed again" in caplog.text
        assert (folder.parent / f"grid-abc.damaged-{number}").is_dir()
        assert not folder.exists()


def test_two_writers_of_one_key_end_with_one_whole_artefact(caplog):
    def write(value: float) -> None:
        for _ in range(10):
            store.save_artefact("grid", "abc", {"x": torch.full((64,), value)}, {"value": value})

    writers = [threading.Thread(target=write, args=(value,)) for value in (1.0, 2.0)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found = store.load_artefact("grid", "abc")
        if found is not None:
            assert_close(found[0]["x"], torch.full((64,), found[1]["value"]))
    assert store.load_artefact("grid", "abc") is not None
    assert caplog.text == ""


@pytest.mark.parametrize("name", [store.MANIFEST, store.TENSORS])
def test_any_byte_that_is_another_is_noticed(name):
    meta = {"text": "zwölf", "numbers": [0.25, 3, -1e-9], "deep": {"a": {"b": None}}}
    folder = store.save_artefact("grid", "abc", tensors(), meta)
    path = folder / name
    data = path.read_bytes()
    for place in range(len(data)):
        for wrong in {data[place] ^ 1 << place % 8, 0x20} - {data[place]}:
            path.write_bytes(data[:place] + bytes([wrong]) + data[place + 1 :])
            with pytest.raises((StoreError, ValueError)):
                store._read_whole(folder)
    path.write_bytes(data)
    assert store.load_artefact("grid", "abc")[1] == meta


def test_what_an_earlier_version_kept_still_opens_and_another_entry_is_damage():
    folder = store.save_artefact("grid", "abc", tensors(), {"n": 1})
    manifest = sealed.read_sealed(folder / store.MANIFEST)
    (folder / store.MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    assert store.load_artefact("grid", "abc")[1] == {"n": 1}
    assert store.list_artefacts("grid") == [{"n": 1}]
    (folder / store.MANIFEST).write_text(json.dumps({**manifest, "meda": manifest["meta"]}))
    assert store.list_artefacts("grid") == []
    assert store.load_artefact("grid", "abc") is None


def test_a_sealed_file_is_whole_or_refused(tmp_path):
    path = tmp_path / "a.json"
    for value in ({}, {"a": 1}, {"a": float("inf"), "é": ["\u2028"]}):
        sealed.write_sealed(path, value)
        assert sealed.read_sealed(path, required=True) == value
        assert json.loads(path.read_bytes()).keys() >= value.keys()
    path.write_text('{"a": 1}')
    assert sealed.read_sealed(path) == {"a": 1}
    with pytest.raises(StoreError, match="its digest cannot be read"):
        sealed.read_sealed(path, required=True)
    for text, sentence in (("[" * 100_000, "expected JSON"), ("[1]", "JSON object"), ('{"a": ' + "9" * 5000 + "}", "")):
        path.write_text(text)
        with pytest.raises(StoreError, match=f"is damaged.*{sentence}"):
            sealed.read_sealed(path)
    path.unlink()
    for make, sentence in ((path.mkdir, "is a folder"), (lambda: os.mkfifo(path), "is a pipe")):
        make()
        with pytest.raises(StoreError, match=sentence):
            sealed.read_sealed(path)
        path.rmdir() if path.is_dir() else path.unlink()


def fail_with(number: int):
    def fail(*_args, **_keywords):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("function", ["replace", "fsync"])
@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "The disk is full: .*Free some space, or set PKT_CACHE"),
        (errno.EDQUOT, "The disk is full: "),
        (errno.EACCES, "No permission for .*Set PKT_CACHE"),
        (errno.EROFS, "No permission for "),
        (errno.EIO, "could not be read or written .*Check the disk"),
    ],
)
def test_a_failed_write_says_why_and_leaves_the_old_file(tmp_path, monkeypatch, function, number, sentence):
    path = tmp_path / "status.json"
    files.write_json(path, {"old": True})
    with monkeypatch.context() as patched:
        patched.setattr(os, function, fail_with(number))
        with pytest.raises(StoreError, match=sentence):
            files.write_json(path, {"old": False})
    assert files.read_json(path) == {"old": True}
    assert [left.name for left in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
def test_a_disk_that_is_really_full_is_told(tmp_path, monkeypatch):
    path = tmp_path / "status.json"
    files.write_json(path, {"old": True})
    with monkeypatch.context() as patched:
        patched.setattr(files, "open", lambda *_: os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb"), raising=False)
        with pytest.raises(StoreError, match="The disk is full"):
            files.write_json(path, {"old": False})
    assert files.read_json(path) == {"old": True}


def test_a_full_disk_keeps_the_old_artefact_and_no_rest(monkeypatch):
    folder = store.save_artefact("grid", "abc", tensors(), {"old": True})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail_with(errno.ENOSPC))
        with pytest.raises(StoreError, match="The disk is full"):
            store.save_artefact("grid", "abc", tensors(), {"old": False})
    assert store.load_artefact("grid", "abc")[1] == {"old": True}
    assert [path.name for path in folder.parent.iterdir()] == ["grid-abc"]


def test_an_impossible_cache_folder_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PKT_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(StoreError, match="could not be read or written"):
        store.save_artefact("grid", "abc", {}, {})


def test_read_json_tells_missing_from_damaged(tmp_path):
    with pytest.raises(StoreError, match="is missing"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff{")
    with pytest.raises(StoreError, match="is damaged: expected JSON"):
        files.read_json(tmp_path / "a.json")


@given(PLAIN)
def test_json_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "a.json"
    files.write_json(path, value)
    assert same_typed(files.read_json(path), value)


@pytest.mark.parametrize(
    ("kind", "key"), [("../grid", "a"), ("grid", "../a"), ("grid", "a/b"), ("", "a"), ("grid", ".a")]
)
def test_a_key_is_never_a_path(kind, key):
    with pytest.raises(AssertionError):
        store.artefact_folder(kind, key)


@pytest.mark.parametrize("name", ["tensors.safetensors", "manifest.json"])
def test_a_pipe_in_place_of_a_file_holds_nobody_up(name):
    folder = store.save_artefact("demo", "a", {"x": torch.ones(2)}, {"n": 1})
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert store.load_artefact("demo", "a") is None
    store.save_artefact("demo", "a", {"x": torch.ones(2)}, {"n": 1})
    assert store.load_artefact("demo", "a") is not None
