//! Benchmarks of Quipu; see `main`.
fn main() {}
