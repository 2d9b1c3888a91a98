//! A measurement in a process of its own, so that each subject's peak memory is its own and no
//! allocator, thread or open file of one is there for the next.
//!
//! The child may be another program that [`serve`]s its subject: one that is linked with what the
//! benchmarks themselves should not need.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::{Args, Parser, Subcommand};
use serde::de::DeserializeOwned;

use crate::{
    Result, exit,
    measurement::Measurement,
    participant::Participant,
    store::Order,
    subject::{Step, Subject, named},
    workload::Workload,
};

/// The whole of a program that measures one subject for the benchmarks, which start it: it is
/// named to them with `--with`.
pub fn serve(subject: Subject) -> ExitCode {
    exit(Server::parse().request.answer(&[subject]))
}

/// Measures a subject for the benchmarks: name this program to them with `--with`.
#[derive(Debug, Parser)]
struct Server {
    #[command(subcommand)]
    request: Request,
}

/// What the benchmarks ask of a child process; the answer is JSON on standard output.
#[derive(Debug, Subcommand)]
pub(crate) enum Request {
    /// List the subjects of this program.
    #[command(hide = true)]
    Subjects,
    /// Take one measurement in this process; the benchmarks start themselves with it.
    #[command(hide = true)]
    Child(ChildArgs),
    /// The same of a store.
    #[command(hide = true)]
    StoreChild {
        /// An [`Order`] in JSON.
        order: String,
    },
}

impl Request {
    /// In the child: answers with one of `subjects`, or with all.
    pub(crate) fn answer(&self, subjects: &[Subject]) -> Result<()> {
        let mut output = io::stdout().lock();
        match self {
            Self::Subjects => serde_json::to_writer(&mut output, &Participant::of(subjects)?)?,
            Self::Child(child) => serde_json::to_writer(&mut output, &child.run(subjects)?)?,
            Self::StoreChild { order } => {
                let order = serde_json::from_str(order)?;
                serde_json::to_writer(&mut output, &run_store(&order, subjects)?)?;
            }
        }
        Ok(output.flush()?)
    }
}

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
    fn run(&self, subjects: &[Subject]) -> Result<Measurement> {
        let subject = named(&self.subject, subjects)?;
        let load = self.workload.load(self.scale);
        let mut measurement = subject.run(self.workload, self.step, &self.dir, load)?;
        measurement.peak_memory_bytes = peak_memory_bytes();
        Ok(measurement)
    }
}

/// In the child: does what a store is to do.
fn run_store(order: &Order, subjects: &[Subject]) -> Result<Measurement> {
    let store = named(&order.subject, subjects)?.store?;
    let mut measurement = (store.run)(order)?;
    if measurement.peak_memory_bytes == 0 {
        measurement.peak_memory_bytes = peak_memory_bytes();
    }
    Ok(measurement)
}

/// In the parent: has a child do `step`, and waits for its measurement.
pub(crate) fn measure(
    workload: Workload,
    subject: &Participant,
    step: Step,
    dir: &Path,
    scale: f64,
) -> Result<Measurement> {
    let step = match step {
        Step::Prepare => "prepare",
        Step::Measure => "measure",
        Step::MeasureSnapshotting => "measure-snapshotting",
    };
    let mut command = Command::new(&subject.program);
    command
        .args(["child", "--workload", workload.name()])
        .args(["--subject", &subject.name])
        .args(["--step", step, "--scale", &scale.to_string()])
        .arg("--dir")
        .arg(dir);
    ask(&mut command).map_err(|cause| {
        let (workload, subject) = (workload.name(), &subject.name);
        format!("{workload} by {subject} {cause}").into()
    })
}

/// In the parent: has a child do what `order` says, and waits for its measurement.
pub(crate) fn measure_store(subject: &Participant, order: &Order) -> Result<Measurement> {
    let mut command = Command::new(&subject.program);
    command.args(["store-child", &serde_json::to_string(order)?]);
    ask(&mut command)
        .map_err(|cause| format!("{:?} by {} {cause}", order.task, subject.name).into())
}

/// In the parent: the subjects of another program.
pub(crate) fn subjects(program: &Path) -> Result<Vec<Participant>> {
    ask(Command::new(program).arg("subjects"))
        .map_err(|cause| format!("{} {cause}", program.display()).into())
}

fn ask<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = command.output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let text = text
            .trim()
            .trim_start_matches("error: ")
            .replace('\n', "; ");
        return Err(format!("failed ({}): {text}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The high-water mark of this process's resident memory; 0 where the system does not tell.
pub(crate) fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
