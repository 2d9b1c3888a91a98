//! Reads the header and the seal of segments.

use std::path::{Path, PathBuf};

use quipu_io::{File, Io, OpenOptions};

use super::chain::Segment;
use crate::codec::Codec;
use crate::directory::{Directory, Listing};
use crate::format::frame::usize_of;
use crate::format::header::{FRAMES_OFFSET, SEAL_OFFSET, SegmentHeader};
use crate::format::seal::{SEAL_BYTES, Seal, SealBlock};
use crate::format::{HeaderError, VERSION};
use crate::{Error, Result};

/// A segment whose first two blocks were read.
pub(crate) struct Surveyed<F> {
    pub(crate) path: PathBuf,
    pub(crate) file: F,
    pub(crate) size: u64,
    pub(crate) segment: Segment,
}

/// The segments of a listing, in its order.
pub(crate) async fn read<I: Io>(
    directory: &Directory<I>,
    listing: &Listing,
    codec: Option<Codec>,
) -> Result<Vec<Segment>> {
    let mut segments = Vec::with_capacity(listing.segments.len());
    for &number in &listing.segments {
        segments.push(read_one(directory, number, codec).await?.segment);
    }
    Ok(segments)
}

/// The segment with this number; of whatever codec, or of this one only.
pub(crate) async fn read_one<I: Io>(
    directory: &Directory<I>,
    number: u64,
    codec: Option<Codec>,
) -> Result<Surveyed<I::File>> {
    let path = directory.segment(number);
    let file = directory
        .io
        .open(&path, OpenOptions::ReadOnly)
        .await
        .map_err(Error::io)?;
    let size = file.size().await.map_err(Error::io)?;
    let both = usize_of(SEAL_OFFSET) + SEAL_BYTES;
    let bytes = file.read_at(0, both).await.map_err(Error::io)?;
    let header = SegmentHeader::decode(&bytes, &directory.prefix)
        .map_err(|error| header_error(&path, error))?;
    check_codec(&path, header.codec, codec)?;
    if header.number != number {
        let reason = format!("its header says that it is segment {}", header.number);
        return Err(Error::corrupt(&path, 0, reason));
    }
    // It had its space before it had its name, so no crash leaves it shorter.
    if size < FRAMES_OFFSET {
        return Err(Error::corrupt(&path, size, "it ends before its frames"));
    }
    let block = bytes.get(usize_of(SEAL_OFFSET)..).unwrap_or_default();
    let seal = match Seal::decode(block, number, header.generation) {
        SealBlock::None => None,
        SealBlock::Seal(seal) => Some(seal),
        SealBlock::Damaged => {
            return Err(Error::corrupt(&path, SEAL_OFFSET, "its seal is damaged"));
        }
    };
    Ok(Surveyed {
        path,
        file,
        size,
        segment: Segment { header, seal },
    })
}

/// Fails if the file is not of the codec that is expected, if one is.
pub(crate) fn check_codec(path: &Path, found: Codec, expected: Option<Codec>) -> Result<()> {
    match expected {
        Some(expected) if found != expected => {
            Err(header_error(path, HeaderError::Codec(found.number())))
        }
        _ => Ok(()),
    }
}

/// What a header that was not accepted means to the caller.
pub(crate) fn header_error(path: &Path, error: HeaderError) -> Error {
    let path = path.to_owned();
    match error {
        HeaderError::Magic => Error::NotAJournal { path },
        HeaderError::Version(found) => Error::UnsupportedVersion {
            path,
            found,
            supported: VERSION,
        },
        HeaderError::Codec(found) => Error::UnsupportedCodec { path, found },
        HeaderError::Damaged(reason) => Error::corrupt(&path, 0, reason),
    }
}
