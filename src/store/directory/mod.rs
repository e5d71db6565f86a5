//! Users, accounts and resellers, as issuing may look them up; redemption never does.

mod answer;
mod file;
mod health;
mod http;
mod notice;

use std::sync::Arc;

pub use notice::{DirectoryError, DirectoryNotice};

use crate::{
    config::DirectorySource,
    gate::{
        denial::Denial,
        directory::{Account, Reseller, User},
    },
    store::directory::{file::RecordsFile, http::Service},
};

/// The directory. Cheap to clone; clones share what they know.
#[derive(Debug, Clone)]
pub struct Directory(Source);

#[derive(Debug, Clone)]
enum Source {
    None,
    File(Arc<RecordsFile>),
    Http(Arc<Service>),
}

impl Directory {
    /// Opens the one that is configured: reads its file, asks its service nothing yet.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn open(source: &DirectorySource) -> Result<Self, DirectoryError> {
        Ok(Self(match source {
            DirectorySource::None => Source::None,
            DirectorySource::File(path) => Source::File(Arc::new(RecordsFile::open(path)?)),
            DirectorySource::Http { url, token, timeout, cache } => {
                Source::Http(Arc::new(Service::new(url, token.as_ref(), *timeout, *cache)?))
            }
        }))
    }

    /// Whether there is one: without it, names pass through.
    pub fn is_there(&self) -> bool {
        !matches!(self.0, Source::None)
    }

    /// The user with this username, email or number.
    ///
    /// # Errors
    /// [`Denial::DirectoryUnavailable`].
    pub async fn user(&self, name: &str) -> Result<Option<Arc<User>>, Denial> {
        match &self.0 {
            Source::None => Ok(None),
            Source::File(file) => Ok(file.records().user(name).cloned().map(Arc::new)),
            Source::Http(service) => service.user(name).await,
        }
    }

    /// [`Directory::user`], for one of many whom a batch names: batches together have half of the
    /// questions that a service is asked at once, so that single links are not made to wait.
    ///
    /// # Errors
    /// [`Denial::DirectoryUnavailable`].
    pub async fn user_of_batch(&self, name: &str) -> Result<Option<Arc<User>>, Denial> {
        match &self.0 {
            Source::Http(service) => service.user_of_batch(name).await,
            _ => self.user(name).await,
        }
    }

    /// The account of this number.
    ///
    /// # Errors
    /// [`Denial::DirectoryUnavailable`].
    pub async fn account(&self, id: u64) -> Result<Option<Arc<Account>>, Denial> {
        match &self.0 {
            Source::None => Ok(None),
            Source::File(file) => Ok(file.records().account(id).cloned().map(Arc::new)),
            Source::Http(service) => service.account(id).await,
        }
    }

    /// The reseller of this number.
    ///
    /// # Errors
    /// [`Denial::DirectoryUnavailable`].
    pub async fn reseller(&self, id: u64) -> Result<Option<Arc<Reseller>>, Denial> {
        match &self.0 {
            Source::None => Ok(None),
            Source::File(file) => Ok(file.records().reseller(id).cloned().map(Arc::new)),
            Source::Http(service) => service.reseller(id).await,
        }
    }

    /// Takes up a file that has changed, and tells what happened since the last look. It reads
    /// files, which blocks; cheap enough for every few seconds.
    pub fn look(&self) -> Option<DirectoryNotice> {
        match &self.0 {
            Source::None => None,
            Source::File(file) => file.notice(),
            Source::Http(service) => service.notice(),
        }
    }
}
