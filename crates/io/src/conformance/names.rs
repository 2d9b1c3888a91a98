//! Opening, directories, names and locks.

use std::ffi::OsString;
use std::io::ErrorKind::{AlreadyExists, NotFound, WouldBlock};
use std::path::Path;

use bytes::Bytes;

use super::{Must, assert_bytes, assert_equal, create, failure, read, read_path};
use crate::backend::{DirEntry, EntryKind, File, Io, OpenOptions};

/// Checks opening, directories, names and locks in `dir`, an empty directory.
///
/// # Panics
///
/// Where the backend breaks a rule.
pub async fn names<I: Io>(io: &I, dir: &Path) {
    open_missing(io, dir).await;
    open_existing(io, dir).await;
    directories(io, dir).await;
    rename(io, dir).await;
    remove(io, dir).await;
    hard_link(io, dir).await;
    sync(io, dir).await;
    lock(io, dir).await;
}

async fn open_missing<I: Io>(io: &I, dir: &Path) {
    use OpenOptions::{Create, CreateNew, ReadOnly, ReadWrite};

    let missing = dir.join("open-missing");
    for options in [ReadOnly, ReadWrite] {
        let result = io.open(&missing, options).await;
        let rule = format!("{options:?} of a missing file is NotFound");
        failure("open", &missing).of_kind(NotFound, result, &rule);
    }
    let orphan = dir.join("no-such-directory/file");
    for options in [ReadOnly, ReadWrite, Create, CreateNew] {
        let result = io.open(&orphan, options).await;
        let rule = format!("{options:?} below a missing directory is NotFound");
        failure("open", &orphan).of_kind(NotFound, result, &rule);
    }
    for (name, options) in [("open-create", Create), ("open-create-new", CreateNew)] {
        let file = io.open(&dir.join(name), options).await;
        let file = file.must(&format!("{options:?} creates a missing file"));
        assert_bytes(&read(&file).await, b"", "a file is created empty");
        let written = file.write_at(0, Bytes::from_static(b"x")).await;
        written.must("a created file can be written");
    }
}

async fn open_existing<I: Io>(io: &I, dir: &Path) {
    use OpenOptions::{Create, CreateNew, ReadOnly, ReadWrite};

    let path = dir.join("open-existing");
    create(io, &path, b"content").await;
    let taken = io.open(&path, CreateNew).await;
    failure("open", &path).of_kind(AlreadyExists, taken, "CreateNew of a taken name fails");
    for options in [ReadOnly, ReadWrite, Create] {
        let file = io.open(&path, options).await;
        let file = file.must(&format!("{options:?} opens an existing file"));
        assert_bytes(&read(&file).await, b"content", "opening changes no content");
    }
    for options in [ReadWrite, Create] {
        let file = io.open(&path, options).await.must("open works twice");
        let written = file.write_at(0, Bytes::from_static(b"CON")).await;
        written.must(&format!("{options:?} allows writing"));
    }
    let file = io.open(&path, ReadOnly).await.must("open works twice");
    let written = file.write_at(0, Bytes::from_static(b"lost")).await;
    failure("write_at", &path).of_any_kind(written, "ReadOnly does not allow writing");
    failure("set_len", &path).of_any_kind(file.set_len(0).await, "nor cutting");
    assert_bytes(
        &read(&file).await,
        b"CONtent",
        "a write that was refused changes nothing",
    );
    for options in [ReadOnly, ReadWrite] {
        let result = io.open(dir, options).await;
        failure("open", dir).of_any_kind(result, "a directory cannot be opened as a file");
    }
}

async fn directories<I: Io>(io: &I, dir: &Path) {
    let top = dir.join("top");
    let deep = top.join("a/b/c");
    io.create_dir_all(&deep)
        .await
        .must("create_dir_all creates all that is missing");
    io.create_dir_all(&deep)
        .await
        .must("create_dir_all of an existing directory is success");
    create(io, &top.join("file"), b"").await;
    let entries = [("a", EntryKind::Directory), ("file", EntryKind::File)];
    assert_listing(io, &top, &entries).await;
    assert_listing(io, &top.join("a"), &[("b", EntryKind::Directory)]).await;
    assert_listing(io, &deep, &[]).await;

    let blocked = top.join("file/below");
    let result = io.create_dir_all(&blocked).await;
    failure("create_dir_all", &blocked).of_any_kind(result, "a file cannot hold a directory");
    let missing = dir.join("no-such-directory");
    let result = io.read_dir(&missing).await;
    failure("read_dir", &missing).of_kind(NotFound, result, "a missing directory has no list");
    let space = io.available_space(dir).await;
    space.must("available_space of a directory works");
}

async fn rename<I: Io>(io: &I, dir: &Path) {
    let dir = dir.join("rename");
    io.create_dir_all(&dir.join("other"))
        .await
        .must("create_dir_all works");
    let [from, to, away] = ["from", "to", "other/away"].map(|name| dir.join(name));

    let handle = create(io, &from, b"new").await;
    io.rename(&from, &to)
        .await
        .must("rename to a free name works");
    let names = [("other", EntryKind::Directory), ("to", EntryKind::File)];
    assert_listing(io, &dir, &names).await;
    let written = handle.write_at(3, Bytes::from_static(b"er")).await;
    written.must("a handle survives the rename of its file");
    assert_bytes(
        &read_path(io, &to).await,
        b"newer",
        "a handle is an inode, not a name",
    );

    let replaced = handle;
    create(io, &from, b"newest").await;
    io.rename(&from, &to)
        .await
        .must("rename replaces a file of that name");
    assert_listing(io, &dir, &names).await;
    assert_bytes(
        &read_path(io, &to).await,
        b"newest",
        "the name stands for the new file",
    );
    assert_bytes(
        &read(&replaced).await,
        b"newer",
        "a handle to a replaced file keeps it",
    );

    io.rename(&to, &away)
        .await
        .must("rename to another directory works");
    assert_listing(io, &dir, &names[..1]).await;
    assert_listing(io, &dir.join("other"), &[("away", EntryKind::File)]).await;

    let result = io.rename(&from, &away).await;
    failure("rename", &from).of_kind(NotFound, result, "rename of a missing file is NotFound");
    assert_bytes(
        &read_path(io, &away).await,
        b"newest",
        "a failed rename changes nothing",
    );
}

async fn remove<I: Io>(io: &I, dir: &Path) {
    let dir = dir.join("remove");
    io.create_dir_all(&dir).await.must("create_dir_all works");
    let path = dir.join("file");

    let file = create(io, &path, b"kept").await;
    io.remove_file(&path)
        .await
        .must("remove_file works while the file is open");
    assert_listing(io, &dir, &[]).await;
    let gone = io.open(&path, OpenOptions::ReadWrite).await;
    failure("open", &path).of_kind(NotFound, gone, "a removed name is gone");
    let again = io.remove_file(&path).await;
    failure("remove_file", &path).of_kind(NotFound, again, "it cannot be removed twice");

    let successor = create(io, &path, b"other").await;
    let written = file.write_at(4, Bytes::from_static(b" on")).await;
    written.must("a handle survives the removal of its file's name");
    file.sync_all().await.must("so it can be synced");
    assert_bytes(
        &read(&file).await,
        b"kept on",
        "open handles keep the inode alive",
    );
    assert_bytes(
        &read(&successor).await,
        b"other",
        "a name that is used again is another file",
    );
    let result = io.remove_file(&dir).await;
    failure("remove_file", &dir).of_any_kind(result, "remove_file removes no directory");
}

async fn hard_link<I: Io>(io: &I, dir: &Path) {
    let dir = dir.join("link");
    io.create_dir_all(&dir).await.must("create_dir_all works");
    let [first, second, missing] = ["first", "second", "missing"].map(|name| dir.join(name));

    let file = create(io, &first, b"one").await;
    io.hard_link(&first, &second)
        .await
        .must("hard_link gives a second name");
    let written = file.write_at(3, Bytes::from_static(b" file")).await;
    written.must("write_at works");
    assert_bytes(
        &read_path(io, &second).await,
        b"one file",
        "both names are one file",
    );

    let result = io.hard_link(&first, &second).await;
    failure("hard_link", &first).of_kind(AlreadyExists, result, "hard_link replaces nothing");
    let result = io.hard_link(&missing, &dir.join("third")).await;
    failure("hard_link", &missing).of_kind(NotFound, result, "a missing file cannot be linked");

    io.remove_file(&first).await.must("remove_file works");
    assert_bytes(
        &read_path(io, &second).await,
        b"one file",
        "one name is enough",
    );
    assert_listing(io, &dir, &[("second", EntryKind::File)]).await;
}

async fn sync<I: Io>(io: &I, dir: &Path) {
    let path = dir.join("sync");
    let file = create(io, &path, b"synced").await;
    file.sync_data().await.must("sync_data works");
    file.sync_all().await.must("sync_all works");
    io.sync_dir(dir).await.must("sync_dir works");

    let result = io.sync_dir(&path).await;
    failure("sync_dir", &path).of_any_kind(result, "a file is not a directory to sync");
    let missing = dir.join("no-such-directory");
    let result = io.sync_dir(&missing).await;
    failure("sync_dir", &missing).of_kind(NotFound, result, "nor is what is missing");
}

async fn lock<I: Io>(io: &I, dir: &Path) {
    let path = dir.join("lock");
    let held = io.lock(&path).await.must("lock creates a missing file");
    assert_bytes(&read_path(io, &path).await, b"", "lock creates it empty");
    for handle in [io.clone(), io.clone()] {
        let result = handle.lock(&path).await;
        failure("lock", &path).of_kind(WouldBlock, result, "a lock excludes every other");
    }
    let elsewhere = io.lock(&dir.join("lock-elsewhere")).await;
    elsewhere.must("a lock excludes nobody from another file");

    let file = io.open(&path, OpenOptions::ReadWrite).await;
    let file = file.must("a locked file can be opened");
    let written = file.write_at(0, Bytes::from_static(b"mark")).await;
    written.must("a locked file can be written");
    drop(file);
    let result = io.lock(&path).await;
    failure("lock", &path).of_kind(WouldBlock, result, "closing a handle releases no lock");

    drop(held);
    let again = io.lock(&path).await.must("a lock that is dropped is free");
    assert_bytes(
        &read_path(io, &path).await,
        b"mark",
        "lock does not touch the content",
    );
    drop(again);

    let orphan = dir.join("no-such-directory/lock");
    let result = io.lock(&orphan).await;
    failure("lock", &orphan).of_kind(NotFound, result, "lock creates no directory");
}

async fn assert_listing<I: Io>(io: &I, dir: &Path, expected: &[(&str, EntryKind)]) {
    let mut found = io.read_dir(dir).await.must("read_dir works");
    found.sort();
    let entry = |&(name, kind): &(&str, EntryKind)| DirEntry {
        name: OsString::from(name),
        kind,
    };
    let expected: Vec<DirEntry> = expected.iter().map(entry).collect();
    assert_equal(
        &found,
        &expected,
        "read_dir lists each name once, and its kind",
    );
}
