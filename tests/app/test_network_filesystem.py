"""A store on a network file system, where SQLite cannot keep a second gateway away, is refused or reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli import doctor
from gateway.higgsfield.credentials import read_credentials
from gateway.process import app
from gateway.process.production import unsafe
from gateway.settings.config import read_settings
from gateway.store.sqlite import mounts
from gateway.store.sqlite.mounts import network_filesystem
from tests.app.test_production import SAFE


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that writes a table of mounts, as the kernel does, in which the test's folder has a type."""
    device = tmp_path.stat().st_dev
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(mounts, "MOUNTS", table)

    def write(kind: str) -> None:
        number = f"{os.major(device)}:{os.minor(device)}"
        table.write_text(
            "22 27 0:9999 / /proc rw,relatime - proc proc rw\n"
            f"36 35 {number} / /srv/a\\040b rw,noatime shared:1 master:2 - {kind} server:/export rw\n"
        )

    return write


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.glusterfs", "fuse", "ceph"])
def test_a_network_file_system_is_recognized(tmp_path: Path, mount: Callable[[str], None], kind: str) -> None:
    mount(kind)
    for file in (tmp_path / "store.db", tmp_path / "not" / "there" / "store.db"):
        assert network_filesystem(file) == kind


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "fuse.fuse-overlayfs"])
def test_a_local_file_system_is_none(tmp_path: Path, mount: Callable[[str], None], kind: str) -> None:
    mount(kind)
    assert network_filesystem(tmp_path / "store.db") == ""


def test_without_a_table_of_mounts_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "missing")
    assert network_filesystem(tmp_path / "store.db") == ""


def test_the_kernels_own_table_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert network_filesystem(Path("/proc/store.db")) == ""
    monkeypatch.setattr(mounts, "NETWORK_FILE_SYSTEMS", {"proc"})
    assert network_filesystem(Path("/proc/store.db")) == "proc"


def test_production_refuses_a_store_on_a_network_file_system(tmp_path: Path, mount: Callable[[str], None]) -> None:
    tmp_path.chmod(0o700)
    variables = SAFE | {"HFGATEWAY_STORE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    mount("nfs4")
    (line,) = unsafe(read_settings(variables), read_credentials(variables), variables, None)
    assert line.startswith("HFGATEWAY_STORE_URL: is on a network file system (nfs4): ")


def test_the_doctor_and_a_start_report_a_store_on_a_network_file_system(
    tmp_path: Path, mount: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store.db"
    mount("nfs4")
    assert [finding.status for finding in doctor._store(store) if "network file system (nfs4)" in finding.found] == [
        doctor.WARNING
    ]
    app._warn(read_settings({"HFGATEWAY_STORE_URL": f"sqlite:///{store}"}))
    assert ["the store is on a network file system" in record.message for record in caplog.records] == [True]
