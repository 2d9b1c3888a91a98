//! RocksDB as a subject of the benchmarks, in a program of its own: it needs a C++ library and
//! clang's, which Quipu's workspace must not need, and which would be in the memory of the others.
//!
//! On Debian or Ubuntu, from this folder, where the settings of `.cargo` apply, and then from the
//! workspace's:
//!
//! ```text
//! apt-get install librocksdb-dev libclang-dev
//! cargo build --release
//! cargo run --release -p quipu-bench -- manifest-open --with target/rocksdb/release/quipu-bench-rocksdb
//! ```
//!
//! What takes part so far: the manifest's workloads, in [`manifest`].

#![expect(
    clippy::disallowed_methods,
    reason = "peers use the operating system themselves"
)]

mod manifest;

use std::process::ExitCode;

use quipu_bench::subject::Subject;

const NOT_YET: &str = "only its manifest is measured";

const SUBJECT: Subject = Subject {
    name: "rocksdb",
    append_durable: Err(NOT_YET),
    append_os: Err(NOT_YET),
    replay: Err(NOT_YET),
    snapshot_stall: Err(NOT_YET),
    explore: Err("it does not run in the simulator"),
    manifest_open: Ok(manifest::OPEN),
    manifest_flush: Ok(manifest::FLUSH),
};

fn main() -> ExitCode {
    quipu_bench::serve(SUBJECT)
}
