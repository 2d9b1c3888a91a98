//! Reading a store in every way there is, and holding the answers against what it may hold.

use std::ops::Bound;

use quipu_io::sim::SimIo;
use quipu_kv::{Db, Error, KeyspaceHandle, Scan};

use super::damages::Damage;
use super::scenes::{Map, Scene, State, key};

/// The moments of a history that all answers so far fit.
pub(crate) struct Candidates<'a> {
    states: &'a [State],
    left: Vec<usize>,
}

impl<'a> Candidates<'a> {
    /// The newest only, unless the end of the log was damaged and nothing proves it: that of a log that
    /// was not closed, or that is an older copy of itself.
    pub(crate) fn of(scene: &'a Scene, damage: &Damage) -> Self {
        let last = scene.states.len() - 1;
        let end_of_log = scene.files.like("wal/", ".log").pop();
        let is_end = damage
            .paths
            .iter()
            .any(|path| Some(path) == end_of_log.as_ref());
        let first = match is_end && (!scene.is_closed || damage.is_older) {
            true => scene.flushed,
            false => last,
        };
        Candidates {
            states: &scene.states,
            left: (first..=last).collect(),
        }
    }

    /// Whether all answers fit the newest moment.
    pub(crate) fn is_last(&self) -> bool {
        self.left.last() == Some(&(self.states.len() - 1))
    }

    /// Takes an answer about a keyspace into account.
    fn hold(&mut self, name: &str, what: &dyn std::fmt::Debug, fits: impl Fn(&Map) -> bool) {
        let empty = Map::new();
        let before = self.left.clone();
        let states = self.states;
        // Of a keyspace without anything in it, the name alone may be lost.
        self.left
            .retain(|at| fits(states[*at].get(name).unwrap_or(&empty)));
        assert!(
            !self.left.is_empty(),
            "{name} shows {what:?}, which is not of {before:?}"
        );
    }
}

/// Reads everything, and gives the first error.
pub(crate) async fn read_all(
    db: &Db<SimIo>,
    scene: &Scene,
    candidates: &mut Candidates<'_>,
) -> Result<(), Error> {
    let mut first = Ok(());
    for name in scene.last().keys() {
        let Some(keyspace) = db.keyspace(name) else {
            candidates.hold(name, &"nothing", Map::is_empty);
            continue;
        };
        let mut reading = Reading {
            keyspace,
            name,
            candidates: &mut *candidates,
            error: None,
        };
        reading.points(scene).await;
        reading.scans().await;
        if let Some(error) = reading.error {
            first = first.and(Err(error));
        }
    }
    first
}

struct Reading<'a, 'b> {
    keyspace: KeyspaceHandle<SimIo>,
    name: &'static str,
    candidates: &'a mut Candidates<'b>,
    error: Option<Error>,
}

impl Reading<'_, '_> {
    /// Every key that was ever there, and some that never were.
    async fn points(&mut self, scene: &Scene) {
        let absent = [&b""[..], b"key", b"key 0055", b"zzz"];
        let keys: Vec<&[u8]> = scene.keys().into_iter().chain(absent).collect();
        for key in &keys {
            match self.keyspace.get(key).await {
                Ok(found) => self.hold(&(key, &found), |map| {
                    map.get(*key).map(Vec::as_slice) == found.as_deref()
                }),
                Err(error) => self.error = Some(error),
            }
        }
        match self.keyspace.multi_get(&keys).await {
            Ok(found) => self.hold(&found, |map| {
                let expected = keys.iter().map(|key| map.get(*key).map(Vec::as_slice));
                expected.eq(found.iter().map(Option::as_deref))
            }),
            Err(error) => self.error = Some(error),
        }
    }

    async fn scans(&mut self) {
        let keyspace = self.keyspace.clone();
        self.scan(
            keyspace.scan(..),
            (Bound::Unbounded, Bound::Unbounded),
            false,
        )
        .await;
        self.scan(
            keyspace.scan_reverse(..),
            (Bound::Unbounded, Bound::Unbounded),
            true,
        )
        .await;
        for (from, to) in [(2, 9), (8, 31), (11, 11)] {
            let (from, to) = (key(from), key(to));
            let range = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
            self.scan(keyspace.scan(range), range, false).await;
            self.scan(keyspace.scan_reverse(range), range, true).await;
        }
        let range = (
            Bound::Included(&b"key 01"[..]),
            Bound::Excluded(&b"key 02"[..]),
        );
        self.scan(keyspace.prefix(b"key 01"), range, false).await;
    }

    /// What a scan gives is right up to its end or its first error, and behind an error comes nothing.
    async fn scan(
        &mut self,
        scan: Result<Scan<SimIo>, Error>,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
    ) {
        let mut scan = scan.unwrap();
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let error = loop {
            match scan.next().await {
                Ok(Some((key, value))) => pairs.push((key.to_vec(), value.to_vec())),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let is_whole = error.is_none();
        self.hold(&pairs, |map| {
            let mut inside: Vec<_> = match range {
                (Bound::Included(from), Bound::Excluded(to)) if from >= to => Vec::new(),
                range => map.range::<[u8], _>(range).collect(),
            };
            if reverse {
                inside.reverse();
            }
            let found = pairs.iter().map(|(key, value)| (key, value));
            let is_prefix = inside.iter().copied().take(pairs.len()).eq(found);
            is_prefix && (!is_whole || inside.len() == pairs.len())
        });
        if let Some(error) = error {
            for _ in 0..2 {
                let again = scan.next().await.map(|pair| pair.is_some());
                assert!(again.is_err(), "{again:?} behind {error}");
            }
            self.error = Some(error);
        }
    }

    fn hold(&mut self, what: &dyn std::fmt::Debug, fits: impl Fn(&Map) -> bool) {
        self.candidates.hold(self.name, what, fits);
    }
}
