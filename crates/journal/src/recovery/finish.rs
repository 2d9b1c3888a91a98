//! The last step of opening: a segment to append to, and everything that was shown made durable.

use std::sync::Arc;

use bytes::Bytes;
use quipu_io::planted::planted;
use quipu_io::{File, Io, OpenOptions};

use super::{Discarded, Left, Recovered, Recovery, Tail};
use crate::directory::Directory;
use crate::format::header::{Predecessor, SegmentHeader};
use crate::format::mark;
use crate::format::seal::{Seal, Successor};
use crate::log::segment::{SegmentSpan, SegmentWriter};
use crate::options::LogOptions;
use crate::{Error, Result, Seq};

/// A log that is open.
pub(crate) struct Opened<I: Io> {
    pub(crate) directory: Directory<I>,
    pub(crate) lock: I::Lock,
    pub(crate) writer: SegmentWriter<I>,
    /// All segments that are there, in ascending order.
    pub(crate) segments: Vec<SegmentSpan>,
    pub(crate) snapshots: Vec<Seq>,
    pub(crate) report: Recovered,
}

impl<I: Io> Recovery<I> {
    /// Goes on in the last segment, or publishes a new one. To be called at the end of the frames.
    pub(crate) async fn finish(mut self, options: &LogOptions) -> Result<Opened<I>> {
        // Whatever was found may be in the page cache only, unless something that came later says
        // otherwise: a clean close says so of the mark, and a successor in use of the seal before it.
        let mut is_marked = false;
        let writer = match self.tail.take() {
            None => self.create_first(options).await?,
            Some((tail, file, _)) if tail.is_clean() => {
                self.report.left = Left::Clean;
                // Whoever published a snapshot may have been stopped right behind the rename, and
                // older ones go because of it.
                if !planted("a clean log is used before its names are durable") {
                    self.directory.sync().await?;
                }
                is_marked = self.directory.is_marked().await?;
                self.adopt(&tail, file, options)
            }
            Some((tail, file, _)) if tail.is_untouched() => {
                self.report.left = Left::Clean;
                // The same holds for the segment.
                if !planted("an untouched segment is used before its name is durable") {
                    self.directory.sync().await?;
                }
                if !planted("an untouched segment is used before its predecessor is sealed") {
                    self.seal_predecessor().await?;
                }
                self.adopt(&tail, file, options)
            }
            Some((tail, file, _)) => {
                self.report.left = Left::Unclean;
                self.succeed(tail, &file, options).await?
            }
        };
        if !is_marked {
            self.mark().await?;
        }
        for temporary in &self.listing.temporaries {
            // A name that stays is removed by a later open.
            if !planted("temporary files are left behind") {
                let _ = self.directory.io.remove_file(temporary).await;
            }
        }
        self.report.last_seq = writer.last();
        let mut segments: Vec<_> = self
            .segments
            .iter()
            .map(|segment| SegmentSpan {
                number: segment.number(),
                first: segment.header.first,
            })
            .collect();
        if segments
            .last()
            .is_none_or(|last| last.number != writer.number())
        {
            segments.push(writer.span());
        }
        Ok(Opened {
            directory: self.directory,
            lock: self.lock,
            writer,
            segments,
            snapshots: self.listing.snapshots,
            report: self.report,
        })
    }

    /// The first segment of a new journal. The names above it are durable before it has one, so that
    /// whoever finds it need not look.
    async fn create_first(&mut self, options: &LogOptions) -> Result<SegmentWriter<I>> {
        if !planted("a new directory's own name is not synced") {
            self.directory.sync_ancestors().await?;
        }
        if planted("the mark is set before there is a segment") {
            self.mark().await?;
        }
        let header = SegmentHeader {
            codec: self.codec,
            number: 1,
            generation: self.directory.io.random(),
            first: Seq::ZERO.next(),
            predecessor: None,
            whole: Seq::ZERO,
        };
        let created = SegmentWriter::create(&self.directory, header, &[], options).await;
        created.map_err(|failure| failure.into_error())
    }

    fn adopt(&self, tail: &Tail, file: Arc<I::File>, options: &LogOptions) -> SegmentWriter<I> {
        let header = self.segments[self.chain.end - 1].header.clone();
        SegmentWriter::adopt(&self.directory, header, file, tail.end, options)
    }

    /// Publishes the segment after the last, with the accepted unproven frames in it, and seals the
    /// last at its proven end.
    async fn succeed(
        &mut self,
        tail: Tail,
        file: &Arc<I::File>,
        options: &LogOptions,
    ) -> Result<SegmentWriter<I>> {
        let last = &self.segments[self.chain.end - 1].header;
        let proven = tail.proven_end;
        let header = SegmentHeader {
            codec: self.codec,
            number: last.number + 1,
            generation: self.directory.io.random(),
            first: proven.last.next(),
            predecessor: Some(Predecessor {
                number: last.number,
                generation: last.generation,
                end: proven.offset,
                last: proven.last,
                fingerprint: proven.fingerprint,
            }),
            whole: tail.end.last,
        };
        // The predecessor's name may be in the page cache only, and must not be lost without ours.
        if !planted("recovery builds on a name that is not durable") {
            self.directory.sync().await?;
        }
        let copies: Vec<_> = tail.unproven.into_iter().collect();
        self.report.unproven_edits = tail.end.last.since(proven.last);
        if tail.beyond.bytes > 0 {
            self.report.discarded = Some(Discarded {
                path: self.directory.segment(last.number),
                offset: tail.end.offset,
                bytes: tail.beyond.bytes,
            });
        }
        let successor = Successor {
            number: header.number,
            generation: header.generation,
        };
        let mut seal = Seal {
            last: proven.last,
            end: proven.offset,
            successor: Some(successor),
        };
        if planted("recovery seals what was only accepted") {
            (seal.last, seal.end) = (tail.end.last, tail.end.offset);
        }
        if planted("recovery seals before it publishes") {
            SegmentWriter::<I>::write_seal(file, last, &seal).await?;
        }
        let created = SegmentWriter::create(&self.directory, header, &copies, options).await;
        let writer = created.map_err(|failure| failure.into_error())?;
        if !planted("recovery leaves the seal out") {
            SegmentWriter::<I>::write_seal(file, last, &seal).await?;
        }
        Ok(writer)
    }

    /// Writes the seal that a rotation or a recovery which was cut short may have left out, or not
    /// synced.
    async fn seal_predecessor(&self) -> Result<()> {
        let header = &self.segments[self.chain.end - 1].header;
        let Some(predecessor) = header.predecessor else {
            return Ok(());
        };
        let Some(before) = self
            .segments
            .iter()
            .find(|segment| segment.number() == predecessor.number)
        else {
            return Ok(());
        };
        let successor = Successor {
            number: header.number,
            generation: header.generation,
        };
        let seal = Seal {
            last: predecessor.last,
            end: predecessor.end,
            successor: Some(successor),
        };
        let path = self.directory.segment(predecessor.number);
        let file = self.directory.io.open(&path, OpenOptions::ReadWrite).await;
        SegmentWriter::<I>::write_seal(&file.map_err(Error::io)?, &before.header, &seal).await
    }

    async fn mark(&self) -> Result<()> {
        let path = self.directory.lock();
        let opened = self.directory.io.open(&path, OpenOptions::ReadWrite).await;
        let file = opened.map_err(Error::io)?;
        file.write_at(0, Bytes::from_static(&mark::MARK))
            .await
            .map_err(Error::io)?;
        if planted("the mark is not synced") {
            return Ok(());
        }
        file.sync_all().await.map_err(Error::io)
    }
}
