//! Bytes in a file: reading, writing, sizes, space.

use std::path::Path;

use bytes::Bytes;

use super::{Must, assert_bytes, create, failure, pattern, read};
use crate::backend::{File, Io};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Checks reading, writing, sizes and space in `dir`, an empty directory.
///
/// # Panics
///
/// Where the backend breaks a rule.
pub async fn content<I: Io>(io: &I, dir: &Path) {
    read_ends(io, &dir.join("read")).await;
    write_places(io, &dir.join("write")).await;
    gaps(io, &dir.join("gaps")).await;
    large(io, &dir.join("large")).await;
    set_len(io, &dir.join("set-len")).await;
    allocate(io, &dir.join("allocate")).await;
}

async fn read_ends<I: Io>(io: &I, path: &Path) {
    let data = pattern(10_000, 1);
    let file = create(io, path, &data).await;
    let ranges = [
        (0, 10_000),
        (0, 1),
        (4_095, 2),
        (9_999, 1),
        (9_999, 2),
        (5_000, 100_000),
        (3, usize::MAX),
        (10_000, 1),
        (10_001, 1),
        (1 << 40, 10),
        (u64::MAX, 10),
        (u64::MAX, usize::MAX),
        (5_000, 0),
    ];
    for (offset, len) in ranges {
        let start = usize::try_from(offset).map_or(data.len(), |offset| offset.min(data.len()));
        let end = start.saturating_add(len).min(data.len());
        let found = file.read_at(offset, len).await;
        let found = found.must(&format!("read_at {offset}, {len} works"));
        let rule = format!("read_at {offset}, {len} is short only where the file ends");
        assert_bytes(&found, &data[start..end], &rule);
    }
}

async fn write_places<I: Io>(io: &I, path: &Path) {
    let mut expected = pattern(9_000, 2);
    let file = create(io, path, &expected).await;
    // Within a sector, across sectors and pages, over the end, at the end.
    for (offset, len) in [
        (7, 5),
        (511, 2),
        (4_000, 5_000),
        (8_990, 100),
        (9_090, 4_096),
    ] {
        let data = pattern(len, 3);
        let end = offset + len;
        expected.resize(expected.len().max(end), 0);
        expected[offset..end].copy_from_slice(&data);
        write(&file, offset, &data).await;
        assert_bytes(
            &read(&file).await,
            &expected,
            "a write changes its range and no other",
        );
    }
    write(&file, 20_000, b"").await;
    assert_bytes(
        &read(&file).await,
        &expected,
        "an empty write does not grow the file",
    );

    let beyond = "no file is larger than the largest offset";
    let written = file.write_at(u64::MAX, Bytes::from_static(b"x")).await;
    failure("write_at", path).of_any_kind(written, beyond);
    let allocated = file.allocate(u64::MAX, 1).await;
    failure("allocate", path).of_any_kind(allocated, beyond);
    assert_bytes(&read(&file).await, &expected, beyond);
}

async fn gaps<I: Io>(io: &I, path: &Path) {
    let mut expected = b"start".to_vec();
    let file = create(io, path, &expected).await;
    for offset in [600, 5_000, 200_000] {
        write(&file, offset, b"island").await;
        expected.resize(offset, 0);
        expected.extend_from_slice(b"island");
        assert_bytes(
            &read(&file).await,
            &expected,
            "a write beyond the end leaves zeros",
        );
    }
}

async fn large<I: Io>(io: &I, path: &Path) {
    let file = create(io, path, b"").await;
    let mut expected = Vec::new();
    for (len, seed) in [(64 * KIB, 4), (64 * KIB + 1, 5), (MIB, 6), (5 * MIB + 3, 7)] {
        let data = pattern(len, seed);
        let offset = expected.len();
        write(&file, offset, &data).await;
        expected.extend_from_slice(&data);
        let found = file.read_at(offset as u64, len).await.must("read_at works");
        assert_bytes(&found, &data, "a large transfer is complete");
    }
    assert_bytes(
        &read(&file).await,
        &expected,
        "large writes lie where they were put",
    );

    let part = 1_000..1_000 + 2 * MIB;
    let found = file.read_at(part.start as u64, part.len()).await;
    let found = found.must("read_at works");
    assert_bytes(
        &found,
        &expected[part],
        "a read gives what was asked for, not more",
    );
}

async fn set_len<I: Io>(io: &I, path: &Path) {
    let data = pattern(10_000, 8);
    let file = create(io, path, &data).await;
    file.set_len(4_321).await.must("set_len cuts");
    assert_bytes(
        &read(&file).await,
        &data[..4_321],
        "set_len cuts at the size",
    );
    file.set_len(20_000).await.must("set_len grows");
    let mut expected = data[..4_321].to_vec();
    expected.resize(20_000, 0);
    assert_bytes(
        &read(&file).await,
        &expected,
        "set_len grows with zeros, not with old bytes",
    );

    file.set_len(10).await.must("set_len cuts again");
    write(&file, 9_000, b"island").await;
    let mut expected = data[..10].to_vec();
    expected.resize(9_000, 0);
    expected.extend_from_slice(b"island");
    let rule = "a write beyond the end leaves zeros where the file was cut";
    assert_bytes(&read(&file).await, &expected, rule);
    file.set_len(0).await.must("set_len empties");
    assert_bytes(&read(&file).await, b"", "set_len empties");
}

async fn allocate<I: Io>(io: &I, path: &Path) {
    let mut expected = pattern(5_000, 9);
    let file = create(io, path, &expected).await;
    let grows = "allocate keeps the bytes that are there and grows the file with zeros";
    // Within the file; nothing; over its end; twice the same; behind a gap.
    let ranges = [
        (100, 2_000),
        (7_000, 0),
        (4_000, 60_000),
        (4_000, 60_000),
        (MIB, 4_096),
    ];
    for (offset, len) in ranges {
        let allocated = file.allocate(offset as u64, len as u64).await;
        allocated.must("allocate works");
        if len > 0 {
            expected.resize(expected.len().max(offset + len), 0);
        }
        assert_bytes(&read(&file).await, &expected, grows);
    }
    for offset in [4_990, 63_000, MIB + 4_000] {
        let data = pattern(1_000, 10);
        write(&file, offset, &data).await;
        expected.resize(expected.len().max(offset + data.len()), 0);
        expected[offset..offset + data.len()].copy_from_slice(&data);
        assert_bytes(
            &read(&file).await,
            &expected,
            "reserved space is written like any other",
        );
    }
    file.set_len(3_000).await.must("set_len works");
    file.allocate(0, 6_000).await.must("allocate works");
    expected.truncate(3_000);
    expected.resize(6_000, 0);
    assert_bytes(
        &read(&file).await,
        &expected,
        "allocate brings no cut bytes back",
    );
}

async fn write<F: File>(file: &F, offset: usize, data: &[u8]) {
    let written = file
        .write_at(offset as u64, Bytes::copy_from_slice(data))
        .await;
    written.must("write_at works");
}
