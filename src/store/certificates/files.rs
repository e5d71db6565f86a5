//! The files of `listen.tls`: a key is read only if nobody else can.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use crate::{config::Tls, gate::secret::Secret, store::certificates::CertificateError};

/// No chain and no key comes near this; lists of what was taken back may.
const LARGEST: u64 = 4 << 20;

/// What the files hold.
pub(super) struct Contents {
    pub(super) cert: Vec<u8>,
    pub(super) key: Secret<Vec<u8>>,
    pub(super) client_ca: Option<Vec<u8>>,
    pub(super) client_crl: Option<Vec<u8>>,
}

/// The sizes, inodes and times of the files, in their order; nothing of what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<Option<[i128; 3]>>);

/// The fingerprint of the files, through symbolic links; none for one that is not there.
pub(super) fn fingerprint(files: &Tls) -> Fingerprint {
    let Tls { cert, key, client_ca, client_crl } = files;
    let all = [Some(cert), Some(key), client_ca.as_ref(), client_crl.as_ref()];
    let one = |path: &Path| {
        let of = fs::metadata(path).ok()?;
        let changed = i128::from(of.ctime()) * 1_000_000_000 + i128::from(of.ctime_nsec());
        Some([of.size().into(), of.ino().into(), changed])
    };
    Fingerprint(all.into_iter().map(|path| one(path?)).collect())
}

impl Contents {
    pub(super) fn read(files: &Tls) -> Result<Self, CertificateError> {
        let open = |path: &Path| read(path, 0);
        Ok(Self {
            cert: open(&files.cert)?,
            key: Secret::new(read(&files.key, 0o007)?),
            client_ca: files.client_ca.as_deref().map(open).transpose()?,
            client_crl: files.client_crl.as_deref().map(open).transpose()?,
        })
    }
}

fn read(path: &Path, forbidden: u32) -> Result<Vec<u8>, CertificateError> {
    let wrong = |what: String, fix: &str| CertificateError::new(path, what, fix);
    let unreadable = |why: std::io::Error| {
        wrong(
            format!("cannot be read: {why}"),
            "see that it is there and that the user who runs this may read it",
        )
    };
    // A pipe would be waited for.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(wrong("is not a file".to_owned(), "name a file in PEM"));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    // Asked of the open file, so that what was judged is what is read.
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden != 0 {
        let shown = path.display();
        let what = format!("can be read by others (mode {mode:04o})");
        return Err(wrong(what, &format!("chmod 600 {shown}")));
    }
    let size = metadata.len();
    if size == 0 || size > LARGEST {
        let what = if size == 0 { "is empty" } else { "is larger than 4 MiB" };
        return Err(wrong(what.to_owned(), "write what it is for into it, in PEM"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    (&mut file).take(LARGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
