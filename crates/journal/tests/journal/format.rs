//! The worked example of `docs/journal-format.md`: the bytes in the document are the bytes on disk.
//!
//! Goal: the document cannot drift from the code. Method: write a small journal in the simulator,
//! whose random numbers are fixed, print its files, and compare with the document. On a difference
//! the test prints what the document has to say.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fmt::Write;

use quipu_io::sim::{Latency, Sim, SimOptions};
use quipu_journal::{Journal, Options, Replayable, Seq};

struct Names(Vec<String>);

impl Replayable for Names {
    type Edit = Vec<String>;
    type Output = ();

    fn filename_prefix() -> &'static str {
        "names"
    }

    fn initial() -> Self {
        Names(Vec::new())
    }

    fn apply(&mut self, edit: Vec<String>) {
        self.0.extend(edit);
    }

    fn snapshot(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// Appends `["ada"]`, then `["bob"]` and `["cy"]` as a batch, takes a snapshot, and closes.
fn write_journal() -> Sim {
    let sim = Sim::new(SimOptions {
        seed: 1,
        latency: Latency::None,
        ..SimOptions::default()
    });
    let io = sim.io();
    let result = sim.run(async move {
        let mut options = Options::default();
        options.log.allocation_bytes = 512;
        let journal = Journal::<Names, _>::open(io, "/j", options).await?;
        journal.append(vec!["ada".into()]).await?;
        journal
            .append_batch([vec!["bob".into()], vec!["cy".into()]])
            .await?;
        assert_eq!(journal.snapshot().await?, Seq::new(3));
        journal.close().await
    });
    result.unwrap().unwrap();
    sim
}

#[test]
fn the_bytes_in_the_document_are_the_bytes_on_disk() {
    let mut image = write_journal().image();
    let mut text = String::new();
    for name in [
        "names-00000000000000000001.log",
        "names-00000000000000000003.snap",
        "names.lock",
    ] {
        let bytes = image.read(format!("/j/{name}")).unwrap();
        writeln!(text, "{name}, {} bytes", bytes.len()).unwrap();
        dump(&bytes, &mut text);
    }
    let document = include_str!("../../../../docs/journal-format.md");
    assert!(
        document.contains(&text),
        "docs/journal-format.md must contain:\n\n{text}"
    );
}

/// Rows of 16 bytes; rows of zeros are left out.
fn dump(bytes: &[u8], text: &mut String) {
    let mut skipping = false;
    for (index, row) in bytes.chunks(16).enumerate() {
        if row.iter().all(|byte| *byte == 0) {
            if !skipping {
                text.push_str("   ...\n");
            }
            skipping = true;
            continue;
        }
        skipping = false;
        let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        let ascii: String = row.iter().map(printable).collect();
        writeln!(text, "{:6}  {:<47}  {ascii}", index * 16, hex.join(" ")).unwrap();
    }
}
