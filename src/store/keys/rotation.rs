//! The life of a key: made as next, published, current, previous, retired.
//!
//! Each step leaves a directory that loads: at no instant is there no current key, or is a key
//! gone that may still be needed. What was cut short is finished, or harmless, at the next call.

use std::path::Path;

use crate::{
    gate::secret::Secret,
    store::keys::{
        CURRENT, Contents, KeyError, NEXT, SESSION,
        files::{Directory, Locked},
        format::{SessionFile, SigningFile},
    },
};

/// How old, in seconds, a next key must be before it signs: by then every gate has read it, and
/// every reader of the JWKS has had the time to.
pub const MIN_AGE: u64 = 120;

/// Assertions live as long, and clocks may differ by as much.
const LEEWAY: u64 = 60;

/// The longest that something signed or sealed stays valid, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// A link: `links.max_ttl`.
    pub link: u64,
    /// A session: `session.ttl`.
    pub session: u64,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Signs, or seals.
    Current,
    /// Is published, and will.
    Next,
    /// Did; what it signed may still be valid.
    Previous,
}

/// One key, as a person may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file it is in.
    pub file: String,
    /// What it is for.
    pub role: Role,
    /// Its `kid`; session keys have none.
    pub kid: Option<String>,
    /// When it was made, in seconds since the Unix epoch, where that is known.
    pub made: Option<u64>,
    /// When it ceased to sign or seal.
    pub rotated: Option<u64>,
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The signing keys; `None`: there was no next key, so one was made, to sign later.
    pub signing: Option<Promoted>,
    /// Whether the session key was replaced too.
    pub session: bool,
}

/// One key has taken another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    /// The `kid` that signs now.
    pub current: String,
    /// The `kid` that did.
    pub previous: String,
}

/// What retiring did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired {
    /// The keys removed.
    pub removed: Vec<Entry>,
    /// The keys kept, each with the time from which it may be removed.
    pub kept: Vec<(Entry, u64)>,
}

/// Makes what is missing of a current key, a next one, and the session keys; says which files.
///
/// # Errors
/// [`KeyError::Exists`] if nothing is missing: no key is ever replaced.
pub fn make(dir: &Path, now: u64, random: fn() -> [u8; 32]) -> Result<Vec<String>, KeyError> {
    let dir = Locked::make(dir)?;
    let mut made = Vec::new();
    // The current key comes last: while it is missing, nothing loads what is half made.
    for name in [SESSION, NEXT, CURRENT] {
        if dir.dir().read(name)?.is_none() {
            if name == SESSION {
                dir.write(name, &new_session(now, random).text())?;
            } else {
                write_signing(&dir, name, &new_signing(&dir, name, now, random)?)?;
            }
            made.push(name.to_owned());
        }
    }
    if made.is_empty() {
        return Err(KeyError::Exists { dir: dir.dir().path().to_owned() });
    }
    Contents::read(dir.dir()).map(|_| made)
}

/// Each key of a directory: signing keys, then session keys; current, next, previous.
///
/// # Errors
/// As [`super::load`].
pub fn list(dir: &Path) -> Result<Vec<Entry>, KeyError> {
    Contents::read(&Directory::open(dir)?).map(|contents| entries(&contents))
}

/// The next key becomes the current one, that a previous one, and a new next one is made; the
/// session keys likewise.
///
/// # Errors
/// [`KeyError::TooYoung`] unless `force`; [`KeyError::Busy`]; what [`super::load`] refuses.
pub fn rotate(
    dir: &Path,
    now: u64,
    random: fn() -> [u8; 32],
    force: bool,
) -> Result<Rotated, KeyError> {
    let dir = Directory::open(dir)?.lock()?;
    let mut contents = Contents::read(dir.dir())?;
    let ripe = |made: u64| force || now.saturating_sub(made) >= MIN_AGE;

    let next = match contents.next.take() {
        Some(next) if !ripe(next.made) => {
            let age = now.saturating_sub(next.made);
            return Err(KeyError::TooYoung { path: dir.dir().join(NEXT), age });
        }
        Some(next) => Some(next),
        // A rotation was cut short, or an operator brought one key alone.
        None => {
            let next = new_signing(&dir, NEXT, now, random)?;
            write_signing(&dir, NEXT, &next)?;
            force.then_some(next)
        }
    };

    // By its own age: when a rotation that was cut short is taken up, its turn may be past.
    let session = match contents.session.next.take() {
        Some((_, made)) if !ripe(made) => false,
        Some(next) => {
            let (old, _) = std::mem::replace(&mut contents.session.current, next);
            contents.session.previous.insert(0, (old, now));
            contents.session.next = new_session(now, random).next;
            dir.write(SESSION, &contents.session.text())?;
            true
        }
        None => {
            contents.session.next = new_session(now, random).next;
            dir.write(SESSION, &contents.session.text())?;
            false
        }
    };

    let Some(next) = next else { return Ok(Rotated { signing: None, session }) };
    let mut old = contents.current;
    old.rotated = Some(now);
    let promoted =
        Promoted { current: next.key.kid().to_owned(), previous: old.key.kid().to_owned() };
    // The old key first gets its second name, then loses its first to the next key in one step.
    let name = format!("previous-{}.pem", promoted.previous.get(..16).unwrap_or_default());
    write_signing(&dir, &name, &old)?;
    dir.rename(NEXT, CURRENT)?;
    write_signing(&dir, NEXT, &new_signing(&dir, NEXT, now, random)?)?;
    Ok(Rotated { signing: Some(promoted), session })
}

/// Removes the previous keys whose last token or session can no longer be valid; with `force`,
/// all previous keys.
///
/// # Errors
/// [`KeyError::Busy`]; what [`super::load`] refuses.
pub fn retire(
    dir: &Path,
    now: u64,
    lifetimes: Lifetimes,
    force: bool,
) -> Result<Retired, KeyError> {
    let dir = Directory::open(dir)?.lock()?;
    let mut contents = Contents::read(dir.dir())?;
    let mut retired = Retired::default();
    let session_until = |rotated: u64| until(rotated, lifetimes.session);
    for entry in entries(&contents) {
        let Some(rotated) = entry.rotated.filter(|_| entry.role == Role::Previous) else {
            continue;
        };
        let until = if entry.kid.is_some() {
            until(rotated, lifetimes.link.max(LEEWAY))
        } else {
            session_until(rotated)
        };
        if !force && now < until {
            retired.kept.push((entry, until));
            continue;
        }
        if entry.kid.is_some() {
            dir.remove(&entry.file)?;
        }
        retired.removed.push(entry);
    }
    let before = contents.session.previous.len();
    contents.session.previous.retain(|(_, rotated)| !force && now < session_until(*rotated));
    if contents.session.previous.len() < before {
        dir.write(SESSION, &contents.session.text())?;
    }
    Ok(retired)
}

/// From when on nothing made at or before `rotated` is valid. Other gates follow a rotation
/// within seconds, which the leeway covers too.
const fn until(rotated: u64, lifetime: u64) -> u64 {
    rotated.saturating_add(lifetime).saturating_add(LEEWAY)
}

fn entries(contents: &Contents) -> Vec<Entry> {
    let signing = |file: &str, role, of: &SigningFile| Entry {
        file: file.to_owned(),
        role,
        kid: Some(of.key.kid().to_owned()),
        made: Some(of.made),
        rotated: (role == Role::Previous).then(|| of.rotated.unwrap_or(of.mtime)),
    };
    let session = |role, time: u64| Entry {
        file: SESSION.to_owned(),
        role,
        kid: None,
        made: (role != Role::Previous).then_some(time),
        rotated: (role == Role::Previous).then_some(time),
    };
    let mut entries = vec![signing(CURRENT, Role::Current, &contents.current)];
    entries.extend(contents.next.iter().map(|next| signing(NEXT, Role::Next, next)));
    let previous = contents.previous.iter();
    entries.extend(previous.map(|(name, file)| signing(name, Role::Previous, file)));
    let SessionFile { current, next, previous } = &contents.session;
    entries.push(session(Role::Current, current.1));
    entries.extend(next.iter().map(|(_, made)| session(Role::Next, *made)));
    entries.extend(previous.iter().map(|(_, rotated)| session(Role::Previous, *rotated)));
    entries
}

fn new_signing(
    dir: &Locked,
    name: &str,
    now: u64,
    random: fn() -> [u8; 32],
) -> Result<SigningFile, KeyError> {
    SigningFile::new(Secret::new(random()), now)
        .map_err(|_| KeyError::Weak { path: dir.dir().join(name) })
}

fn new_session(now: u64, random: fn() -> [u8; 32]) -> SessionFile {
    let key = || (Secret::new(random()), now);
    SessionFile { current: key(), next: Some(key()), previous: Vec::new() }
}

fn write_signing(dir: &Locked, name: &str, file: &SigningFile) -> Result<(), KeyError> {
    let text = file.text().map_err(|_| KeyError::Weak { path: dir.dir().join(name) })?;
    dir.write(name, &text)
}
