//! All the ways to read, held against each other and against the line.

use std::ops::{Bound, RangeBounds};

use quipu_journal::check::{Stage, Verdict};

use super::driver::{Driver, Held};
use super::oracles::READS;
use super::program::KEYS;
use super::state::{Found, Pairs, State, told};
use crate::manifest::KeyspaceId;
use crate::{KeyspaceHandle, Result, Scan, Snapshot};

/// Prefixes that some of the keys have.
const PREFIXES: [&[u8]; 4] = [b"a", b"\xff", b"", b"ab"];

/// How a scan of a part is asked for.
type Bounds = (Bound<&'static [u8]>, Bound<&'static [u8]>);

impl<I: Stage> Driver<I> {
    /// Everything as of a snapshot.
    pub(super) async fn found(
        &self,
        snapshot: &Snapshot<I>,
        keyspaces: &[KeyspaceId],
    ) -> Result<Found> {
        let mut found = Found::new();
        for keyspace in keyspaces {
            let pairs = collect(snapshot.scan_in(*keyspace, ..)?).await?;
            found.insert(*keyspace, pairs);
        }
        Ok(found)
    }

    /// Reads in every way, and what is held.
    pub(super) async fn read_all(&mut self) -> Verdict {
        let keyspaces = self.history().keyspaces();
        let snapshot = self.db.snapshot();
        let found = self.found(&snapshot, &keyspaces).await;
        let Some(found) = self.of_read(found)? else {
            return Ok(());
        };
        let told = found.values().map(told).collect::<Vec<_>>().join(", ");
        self.see("a snapshot", &told, |state, expired| {
            state.fits(&found, expired)
        })?;
        for keyspace in keyspaces {
            self.checks += 1;
            if let Some(handle) = self.handle(keyspace) {
                self.read_keys(&handle).await?;
                self.read_ranges(&handle).await?;
            }
        }
        for index in 0..self.held.len() {
            self.read_held(index).await?;
        }
        Ok(())
    }

    /// The handle of a keyspace that is there.
    pub(super) fn handle(&self, keyspace: KeyspaceId) -> Option<KeyspaceHandle<I>> {
        let mut handles = super::program::SPACES
            .iter()
            .filter_map(|name| self.db.keyspace(name));
        handles.find(|handle| handle.id() == keyspace)
    }

    async fn read_keys(&mut self, handle: &KeyspaceHandle<I>) -> Verdict {
        let id = handle.id();
        let many = handle.multi_get(&KEYS).await;
        if let Some(many) = self.of_read(many)? {
            let pairs = KEYS.iter().zip(many);
            let pairs = pairs.filter_map(|(key, value)| Some((key.to_vec(), value?.to_vec())));
            let pairs: Pairs = pairs.collect();
            self.see("multi_get", &told(&pairs), |state, expired| {
                state.fits_space(id, &pairs, expired)
            })?;
        }
        for key in KEYS {
            let found = match id {
                KeyspaceId::DEFAULT => self.db.get(key).await,
                _ => handle.get(key).await,
            };
            if let Some(found) = self.of_read(found)? {
                let pair = found.iter().map(|value| (key.to_vec(), value.to_vec()));
                self.see("get", &told(&pair.collect()), |state, expired| {
                    state.fits_key(id, key, found.as_deref(), expired)
                })?;
            }
        }
        Ok(())
    }

    async fn read_ranges(&mut self, handle: &KeyspaceHandle<I>) -> Verdict {
        let id = handle.id();
        let prefix = PREFIXES[self.checks % PREFIXES.len()];
        let (from, to) = (self.checks % KEYS.len(), self.checks / 3 % KEYS.len());
        let (from, to) = (KEYS[from].min(KEYS[to]), KEYS[from].max(KEYS[to]));
        let bounds: Bounds = match self.checks % 3 {
            0 => (Bound::Excluded(from), Bound::Included(to)),
            1 => (Bound::Included(from), Bound::Excluded(to)),
            _ => (Bound::Included(from), Bound::Unbounded),
        };
        let all: Bounds = (Bound::Unbounded, Bound::Unbounded);
        let everything = |_: &[u8]| true;
        let inside = |key: &[u8]| RangeBounds::<&[u8]>::contains(&bounds, &key);
        self.read_span(id, "a scan", everything, handle.scan(all))
            .await?;
        let reverse = handle.scan_reverse(all);
        self.read_span(id, "a reverse scan", everything, reverse)
            .await?;
        self.read_span(id, "a bounded scan", inside, handle.scan(bounds))
            .await?;
        let reverse = handle.scan_reverse(bounds);
        self.read_span(id, "a bounded reverse scan", inside, reverse)
            .await?;
        let begins = |key: &[u8]| key.starts_with(prefix);
        self.read_span(id, "a prefix", begins, handle.prefix(prefix))
            .await
    }

    async fn read_span(
        &mut self,
        keyspace: KeyspaceId,
        what: &str,
        is_inside: impl Fn(&[u8]) -> bool,
        scan: Result<Scan<I>>,
    ) -> Verdict {
        let pairs = match scan {
            Ok(scan) => collect_in_order(scan, what).await?,
            Err(error) => Err(error),
        };
        if let Some(pairs) = self.of_read(pairs)? {
            self.see(what, &told(&pairs), |state, expired| {
                state.fits_span(keyspace, &is_inside, &pairs, expired)
            })?;
        }
        Ok(())
    }

    /// Oracle K3: something that was read is of one of the states that may be visible, and of none
    /// before one that was seen already.
    pub(super) fn see(
        &mut self,
        what: &str,
        found: &str,
        fits: impl Fn(&State, Option<u64>) -> bool,
    ) -> Verdict {
        self.note_expiry();
        let expired = self.history().expired;
        let expected = self.states.back().cloned().unwrap_or_default();
        while let Some(state) = self.states.front() {
            if fits(state, expired) {
                return Ok(());
            }
            self.states.pop_front();
        }
        let keyspaces = self.history().keyspaces().into_iter();
        let expected: Vec<_> = keyspaces.map(|id| expected.told(id)).collect();
        let expected = expected.join(", ");
        READS.broken(format!("{what} shows {found}, and there is {expected}"))
    }

    /// A snapshot shows what it showed.
    async fn read_held(&mut self, index: usize) -> Verdict {
        let keyspaces = self.history().keyspaces();
        let Some(Held {
            snapshot, state, ..
        }) = self.held.get(index)
        else {
            return Ok(());
        };
        let found = self.found(snapshot, &keyspaces).await;
        let Some(found) = self.of_read(found)? else {
            return Ok(());
        };
        self.note_expiry();
        let expired = self.history().expired;
        if !state.fits(&found, expired) {
            return frozen("a snapshot", &found, state);
        }
        for keyspace in keyspaces {
            for key in KEYS {
                let value = match keyspace {
                    KeyspaceId::DEFAULT => snapshot.get(key).await,
                    _ => snapshot.get_in(keyspace, key).await,
                };
                if let Some(value) = self.of_read(value)? {
                    self.note_expiry();
                    let expired = self.history().expired;
                    if !state.fits_key(keyspace, key, value.as_deref(), expired) {
                        return frozen("a get in a snapshot", &found, state);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a snapshot and begins a scan of the default keyspace.
    pub(super) async fn hold(&mut self) -> Verdict {
        let snapshot = self.db.snapshot();
        let keyspaces = self.history().keyspaces();
        let found = self.found(&snapshot, &keyspaces).await;
        let Some(found) = self.of_read(found)? else {
            return Ok(());
        };
        let text = found.values().map(told).collect::<Vec<_>>().join(", ");
        self.see("a snapshot", &text, |state, expired| {
            state.fits(&found, expired)
        })?;
        let state = self.states.front().cloned().unwrap_or_default();
        let scan = match self.checks % 2 {
            0 => snapshot.scan(..),
            _ => snapshot.scan_reverse(..),
        };
        let Some(mut scan) = self.of_read(scan)? else {
            return Ok(());
        };
        let mut scanned = Pairs::new();
        let first = scan.next().await;
        let first = first.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())));
        let Some(first) = self.of_read(first)? else {
            return Ok(());
        };
        scanned.extend(first);
        self.held.push_back(Held {
            snapshot,
            state,
            scan,
            scanned,
        });
        Ok(())
    }

    /// Reads the oldest snapshot and the rest of its scan, and lets go of them.
    pub(super) async fn let_go(&mut self) -> Verdict {
        self.read_held(0).await?;
        let Some(Held {
            state,
            scan,
            mut scanned,
            ..
        }) = self.held.pop_front()
        else {
            return Ok(());
        };
        let Some(rest) = self.of_read(collect(scan).await)? else {
            return Ok(());
        };
        scanned.extend(rest);
        self.note_expiry();
        let expired = self.history().expired;
        match state.fits_space(KeyspaceId::DEFAULT, &scanned, expired) {
            true => Ok(()),
            false => {
                let found = Found::from([(KeyspaceId::DEFAULT, scanned)]);
                frozen("a scan that was begun before", &found, &state)
            }
        }
    }
}

fn frozen(what: &str, found: &Found, state: &State) -> Verdict {
    let lines = found.iter().map(|(keyspace, pairs)| {
        let (found, expected) = (told(pairs), state.told(*keyspace));
        format!("keyspace {keyspace} has {found}, and had {expected}")
    });
    let lines = lines.collect::<Vec<_>>().join("; ");
    READS.broken(format!("{what} does not show what it did: {lines}"))
}

async fn collect<I: Stage>(mut scan: Scan<I>) -> Result<Pairs> {
    let mut pairs = Pairs::new();
    while let Some((key, value)) = scan.next().await? {
        pairs.insert(key.to_vec(), value.to_vec());
    }
    Ok(pairs)
}

/// The same, where each pair has to come once, in order.
async fn collect_in_order<I: Stage>(mut scan: Scan<I>, what: &str) -> Verdict<Result<Pairs>> {
    let is_reverse = what.contains("reverse");
    let mut pairs = Pairs::new();
    let mut last: Option<Vec<u8>> = None;
    loop {
        let (key, value) = match scan.next().await {
            Ok(Some((key, value))) => (key.to_vec(), value.to_vec()),
            Ok(None) => return Ok(Ok(pairs)),
            Err(error) => return Ok(Err(error)),
        };
        let is_in_order = last.is_none_or(|last| match is_reverse {
            false => last < key,
            true => last > key,
        });
        if !is_in_order {
            let key = key.escape_ascii();
            return READS.broken(format!("{what} gives {key} at the wrong place"));
        }
        last = Some(key.clone());
        pairs.insert(key, value);
    }
}
