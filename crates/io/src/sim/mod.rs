//! A simulated machine: a disk in memory that loses what a real disk may lose, a deterministic
//! executor, and virtual time.
//!
//! A run is a pure function of the program and of a [`Tape`] of choices: which task runs next, how
//! long an operation takes, what fails, and what a crash leaves. The same tape gives the same run.
//!
//! ```
//! use std::path::Path;
//! use std::sync::{Arc, Mutex};
//! use quipu_io::{Bytes, File, Io, OpenOptions};
//! use quipu_io::sim::{Sim, SimOptions, Tape};
//!
//! // Run a program once, and keep the disk of every moment at which a crash could matter.
//! let sim = Sim::new(SimOptions::default());
//! let points = Arc::new(Mutex::new(Vec::new()));
//! let collected = Arc::clone(&points);
//! sim.on_crash_point(move |point| collected.lock().unwrap().push(point));
//! let io = sim.io();
//! sim.block_on(async {
//!     let file = io.open(Path::new("a"), OpenOptions::CreateNew).await?;
//!     file.write_at(0, Bytes::from_static(b"hello")).await?;
//!     file.sync_data().await?;
//!     io.sync_dir(Path::new("")).await?;
//!     io.mark("saved");
//!     std::io::Result::Ok(())
//! })??;
//!
//! // At each of them, boot from every disk that a crash could leave.
//! for point in points.lock().unwrap().drain(..) {
//!     let mut next = Some(Tape::zeros());
//!     while let Some(tape) = next {
//!         let options = SimOptions { tape, ..SimOptions::default() };
//!         let sim = Sim::boot(point.image.clone(), options);
//!         let io = sim.io();
//!         let found = sim.block_on(async {
//!             let file = io.open(Path::new("a"), OpenOptions::ReadOnly).await?;
//!             file.read_at(0, 100).await
//!         })?;
//!         // Three points: before each of the two syncs, and the promise.
//!         if point.ordinal == 2 {
//!             assert_eq!(found?, "hello");
//!         }
//!         next = sim.tape().successor();
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The disk
//!
//! Inodes and names are separate. Each sector, each size and each name is a chain of versions, in
//! the order in which they were issued; the program sees the newest. A sync raises the floor below
//! which nothing can fall back. After a power loss nothing is decided before somebody looks:
//! opening decides about names, a stat about the size, a read about the sectors it touches, and
//! what was seen stays. What nobody reads stays open, also through further crashes.
//! [`Sim::survival`] says in words what was lost.
//!
//! - A chain survives at or past the newest version that a sync covers which returned `Ok`: what
//!   had been issued when that sync was submitted.
//! - A sector is exactly one of its versions. What was written and never survived is zeros. A
//!   [`DiskModel`] that promises less tears sectors, lets a rewrite destroy what was durable, and
//!   leaves old bytes in space that was never written.
//! - A name whose inode did not survive is dropped. Only a sync of the file (or, for a directory,
//!   of the directory itself) makes the inode survive for certain.
//! - Data beyond the surviving size is gone, and growing again shows zeros.
//! - A rename survives whole or not at all.
//! - Any further order is up to the [`Profile`].
//!
//! An operation has its effect when its future is first polled, and answers after its latency. If
//! the future is dropped in between, a sync completes at that moment.
//!
//! # Faults
//!
//! [`Fault::ALL`] names what may go wrong while the program runs, each under one of two contracts
//! ([`FaultClass`]). A fault strikes as its n-th opportunity ([`SimFaults::strike_nth`]) or by chance
//! ([`FaultRates`]), and is counted when it does. [`FaultRates::swarm`] draws which kinds a run has at
//! all. Every strike is a digit on the tape, and 0 is none.
//!
//! What else can be had from a tape: in which order tasks run ([`Schedule`]), how long operations take
//! ([`Latency`]), and where the machine stops ([`CrashPlan`]). [`drop_after`] drops any future at any of
//! its waits.
//!
//! # What it does not model
//!
//! A write that damages sectors which it does not cover; a sector torn in more than two pieces, or
//! between more versions than two that follow each other; blocks of which two files both think that
//! they are theirs; old bytes in space that was found to be zeros once, cut off, and taken again;
//! a failing write that ends within a sector; file attributes; symbolic links; the removal of directories; more than one process. Paths start
//! at the root, whether they say so or not, and `..` is refused. Short transfers and interrupted
//! calls are hidden by every backend, so there are none here.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the disk is in memory, so its offsets fit; digits and radixes are tiny"
)]

mod chain;
mod choice;
mod content;
mod counts;
mod cut;
mod damage;
mod directory;
mod disk;
mod dropped;
mod executor;
mod fault;
mod image;
mod injection;
mod inode;
mod io;
mod lanes;
mod machine;
mod medium;
mod mood;
mod name;
mod operation;
mod plan;
mod profile;
mod random;
mod rate;
mod run;
mod settle;
mod states;
mod strike;
mod sync;
mod telling;
mod world;

pub use choice::{Digit, Purpose, Tape};
pub use counts::IoCounts;
pub use cut::{DropAfter, drop_after};
pub use disk::Forget;
pub use fault::{Fault, FaultClass};
pub use image::DiskImage;
pub use injection::SimFaults;
pub use io::{SimFile, SimIo, SimLock};
pub use lanes::Lanes;
pub use machine::{Listings, Schedule, Sim, SimOptions, Stopped};
pub use medium::DiskModel;
pub use operation::Operation;
pub use plan::FailedSync;
pub use profile::Profile;
pub use random::Random;
pub use rate::FaultRates;
pub use world::{CrashKind, CrashPlan, CrashPoint, Latency};
