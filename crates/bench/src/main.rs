//! The benchmarks of Quipu; the library beside this file says how they are laid out.

use std::process::ExitCode;

fn main() -> ExitCode {
    quipu_bench::main()
}
