//! A measurement in a process of its own, so that each subject's peak memory is its own and no
//! allocator, thread or open file of one is there for the next.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    Result,
    measurement::Measurement,
    subject::{self, Step, Subject},
    workload::Workload,
};

/// The child's command line; [`measure`] writes it.
#[derive(Debug, Args)]
pub(crate) struct ChildArgs {
    #[arg(long, value_enum)]
    workload: Workload,
    #[arg(long)]
    subject: String,
    #[arg(long, value_enum)]
    step: Step,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    scale: f64,
}

impl ChildArgs {
    /// In the child: does the step, and prints its measurement as JSON.
    pub(crate) fn run(&self) -> Result<()> {
        let subject = subject::named(&self.subject)?;
        let load = self.workload.load(self.scale);
        let mut measurement = subject.run(self.workload, self.step, &self.dir, load)?;
        measurement.peak_memory_bytes = peak_memory_bytes();
        let mut output = io::stdout().lock();
        serde_json::to_writer(&mut output, &measurement)?;
        output.flush()?;
        Ok(())
    }
}

/// In the parent: has a child do `step`, and waits for its measurement.
pub(crate) fn measure(
    workload: Workload,
    subject: &Subject,
    step: Step,
    dir: &Path,
    scale: f64,
) -> Result<Measurement> {
    let step = match step {
        Step::Prepare => "prepare",
        Step::Measure => "measure",
        Step::MeasureSnapshotting => "measure-snapshotting",
    };
    let output = Command::new(env::current_exe()?)
        .args([
            "child",
            "--workload",
            workload.name(),
            "--subject",
            subject.name,
        ])
        .args(["--step", step, "--scale", &scale.to_string()])
        .arg("--dir")
        .arg(dir)
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let text = text
            .trim()
            .trim_start_matches("error: ")
            .replace('\n', "; ");
        let (name, status) = (workload.name(), output.status);
        return Err(format!("{name} by {} failed ({status}): {text}", subject.name).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The high-water mark of this process's resident memory; 0 where the system does not tell.
fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
