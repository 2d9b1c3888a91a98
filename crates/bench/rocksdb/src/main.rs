//! RocksDB as a subject of the benchmarks, in a program of its own: it needs a C++ library and
//! clang's, which Quipu's workspace must not need, and which would be in the memory of the others.
//!
//! On Debian or Ubuntu, from this folder, where the settings of `.cargo` apply, and then from the
//! workspace's:
//!
//! ```text
//! apt-get install librocksdb-dev libclang-dev
//! cargo build --release
//! cargo run --release -p quipu-bench -- store --with target/rocksdb/release/quipu-bench-rocksdb
//! ```
//!
//! What takes part: the manifest's workloads, in [`manifest`], and the store's, in [`mod@store`].

#![expect(
    clippy::disallowed_methods,
    reason = "peers use the operating system themselves"
)]

mod manifest;
mod store;

use std::process::ExitCode;

use quipu_bench::subject::Subject;

const SUBJECT: Subject = Subject {
    manifest_open: Ok(manifest::OPEN),
    manifest_flush: Ok(manifest::FLUSH),
    store: Ok(store::STORE),
    ..Subject::abstaining("rocksdb", "only its manifest and its store are measured")
};

fn main() -> ExitCode {
    quipu_bench::serve(SUBJECT)
}
