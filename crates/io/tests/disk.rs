//! Invariant: `DiskIo` keeps every rule of the traits, whatever executor it finds itself under.

use std::path::Path;

use quipu_io::{DiskIo, Io, conformance};

#[test]
fn conforms_under_smol() {
    let dir = tempfile::tempdir().unwrap();
    smol::block_on(conformance::check(&DiskIo::new().unwrap(), dir.path()));
}

#[test]
fn conforms_as_a_task_of_tokio() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let path = dir.path().to_owned();
    // As a task, so that the suite's futures must be `Send`.
    let check = async move { conformance::check(&DiskIo::new().unwrap(), &path).await };
    runtime.block_on(runtime.spawn(check)).unwrap();
}

#[test]
fn conforms_under_a_bare_block_on() {
    let dir = tempfile::tempdir().unwrap();
    futures::executor::block_on(conformance::check(&DiskIo::new().unwrap(), dir.path()));
}

#[test]
fn conforms_on_its_own_threads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let io = DiskIo::new().unwrap();
    let (sender, receiver) = futures::channel::oneshot::channel();
    io.clone().spawn(async move {
        conformance::check(&io, &path).await;
        let _ = sender.send(());
    });
    let ended = futures::executor::block_on(receiver);
    ended.expect("the suite panicked on a thread of the pool");
}

/// A bare file name's parent is the empty path.
#[test]
fn an_empty_path_is_the_working_directory() {
    let io = DiskIo::new().unwrap();
    let parent = Path::new("Cargo.toml").parent().unwrap();
    smol::block_on(io.sync_dir(parent)).unwrap();
    smol::block_on(io.create_dir_all(parent)).unwrap();
    assert!(smol::block_on(io.available_space(parent)).is_ok());
    let entries = smol::block_on(io.read_dir(parent)).unwrap();
    assert!(entries.iter().any(|entry| entry.name == "Cargo.toml"));
}
