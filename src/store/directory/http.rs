//! A directory at the user's own service: `GET {url}/users/{name}`, `/accounts/{id}` and
//! `/resellers/{id}`.
//!
//! ```text
//! 200        the record, as JSON with the members of the directory file's tables
//! 404, 410   there is none
//! otherwise  the directory is unavailable, and so it is for a second for whoever asks the same
//! ```
//! Where nothing listens, or three different questions in a row find the service silent or
//! overloaded, nobody asks it anything for a second. One question alone never has that effect:
//! there may be a name on which the service itself trips.
//!
//! One question is asked once however many wait for the answer, at most 64 are under way, half of
//! them of batches, and answers are remembered for a short while, also those that there is none: at
//! most 2,000 of each kind, each of at most 16 KiB as it was sent.

use std::{
    io,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, InvalidHeaderValue},
};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use lru::LruCache;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout},
};
use url::Url;

use crate::{
    gate::{
        denial::Denial,
        directory::{Account, Reseller, User},
        secret::Secret,
    },
    store::{
        directory::{
            answer::Record,
            health::{Failure, Health},
            notice::{DirectoryError, DirectoryNotice},
        },
        outgoing::{self, causes, reason},
    },
};

/// The most questions under way.
const AT_ONCE: usize = 64;
/// The most of them that batches have, all together: single links are not made to wait for those.
const OF_BATCHES: usize = 32;
/// The most answers remembered, of each kind.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(2_000).unwrap();
/// The longest that anything is remembered.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The most bytes of an answer.
const LARGEST: usize = 16 * 1024;
/// Why a question was not asked.
const TOO_MANY: &str = "too many questions are waiting for answers";
/// Before the shortest keep-alive in common use (5 s) ends.
const IDLE: Duration = Duration::from_secs(4);
/// All but what RFC 3986 (2.3) leaves as it is, so that a name is one segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The user's own service.
#[derive(Debug)]
pub(super) struct Service {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// Without a `/` at its end.
    base: String,
    bearer: Option<HeaderValue>,
    timeout: Duration,
    cache: Duration,
    under_way: Semaphore,
    batches: Semaphore,
    health: Mutex<Health>,
    users: Answers<User>,
    accounts: Answers<Account>,
    resellers: Answers<Reseller>,
}

/// What was answered, by what was asked.
type Answers<T> = Mutex<LruCache<String, Arc<Cell<T>>>>;

/// One answer. Whoever asks first fills it; the others wait.
type Cell<T> = OnceCell<Result<Known<T>, Failure>>;

/// What was answered, and until when that counts.
#[derive(Debug)]
struct Known<T> {
    record: Option<Arc<T>>,
    until: Instant,
}

/// What went wrong with one question.
enum Broken {
    /// Nothing listens: no question would be answered.
    Nobody(String),
    /// The service does not answer this question: the next one may wait as long.
    Service(String),
    /// It answers, but this cannot be used. Other questions may have better answers: nobody may
    /// shut out everybody by naming somebody whose record is broken.
    Answer(String),
}

impl Service {
    /// Asks nothing yet. `https` is verified with the system's roots (`SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name others); no proxy is used, whatever the environment says.
    ///
    /// # Errors
    /// There are no roots, or the token cannot stand in a header.
    pub(super) fn new(
        url: &Url,
        token: Option<&Secret<String>>,
        timeout: Duration,
        cache: Duration,
    ) -> Result<Self, DirectoryError> {
        let connector = outgoing::connector(url.scheme() == "https", timeout);
        let connector = connector.map_err(DirectoryError::Tls)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(AT_ONCE)
            .build(connector);
        let bearer = |token: &Secret<String>| {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
            bearer.set_sensitive(true);
            Ok::<_, InvalidHeaderValue>(bearer)
        };
        let cache = cache.min(LONGEST);
        Ok(Self {
            client,
            base: url.as_str().trim_end_matches('/').to_owned(),
            bearer: token.map(bearer).transpose().map_err(|_| DirectoryError::NotAToken)?,
            timeout,
            cache,
            under_way: Semaphore::new(AT_ONCE),
            batches: Semaphore::new(OF_BATCHES),
            health: Mutex::default(),
            users: remembering(),
            accounts: remembering(),
            resellers: remembering(),
        })
    }

    pub(super) async fn user(&self, name: &str) -> Result<Option<Arc<User>>, Denial> {
        // Such a segment leads elsewhere, however it is encoded (WHATWG URL, 4.1).
        if matches!(name, "" | "." | "..") {
            return Ok(None);
        }
        self.look_up(&self.users, name).await
    }

    /// The same, for one of many whom a batch names.
    pub(super) async fn user_of_batch(&self, name: &str) -> Result<Option<Arc<User>>, Denial> {
        let Ok(Ok(_permit)) = timeout(self.timeout, self.batches.acquire()).await else {
            return Err(Denial::DirectoryUnavailable(TOO_MANY.to_owned()));
        };
        self.user(name).await
    }

    pub(super) async fn account(&self, id: u64) -> Result<Option<Arc<Account>>, Denial> {
        self.look_up(&self.accounts, &id.to_string()).await
    }

    pub(super) async fn reseller(&self, id: u64) -> Result<Option<Arc<Reseller>>, Denial> {
        self.look_up(&self.resellers, &id.to_string()).await
    }

    /// What happened since this was last asked: that it stopped answering, or started again.
    pub(super) fn notice(&self) -> Option<DirectoryNotice> {
        self.health().notice()
    }

    async fn look_up<T: Record>(
        &self,
        answers: &Answers<T>,
        asked: &str,
    ) -> Result<Option<Arc<T>>, Denial> {
        let cell = remembered(answers, asked);
        let ask = async || {
            let until = Instant::now() + self.cache;
            self.ask(asked).await.map(|record| Known { record, until })
        };
        match cell.get_or_init(ask).await {
            Ok(known) => Ok(known.record.clone()),
            Err(failure) => Err(Denial::DirectoryUnavailable(failure.why.clone())),
        }
    }

    async fn ask<T: Record>(&self, asked: &str) -> Result<Option<Arc<T>>, Failure> {
        self.answers()?;
        let Ok(Ok(_permit)) = timeout(self.timeout, self.under_way.acquire()).await else {
            return Err(Failure::of(TOO_MANY.to_owned()));
        };
        // Those it waited for may have failed.
        self.answers()?;
        let began = Instant::now();
        let silence = || Broken::Service(format!("no answer within {:?}", self.timeout));
        let answered = timeout(self.timeout, self.answer::<T>(asked)).await;
        match answered.unwrap_or_else(|_| Err(silence())) {
            Ok(record) => {
                self.health().note_answer();
                Ok(record.map(Arc::new))
            }
            Err(Broken::Answer(why)) => {
                Err(Failure::of(format!("an answer about {}: {why}", T::COLLECTION)))
            }
            Err(Broken::Service(why)) => {
                let failure = Failure::of(why);
                self.health().note_silence((T::COLLECTION, asked.to_owned()), began, &failure);
                Err(failure)
            }
            Err(Broken::Nobody(why)) => {
                let failure = Failure::of(why);
                self.health().pause(&failure);
                Err(failure)
            }
        }
    }

    /// Whether it does, as far as is known: a moment after it did not, it need not be asked.
    fn answers(&self) -> Result<(), Failure> {
        self.health().paused().map_or(Ok(()), Err)
    }

    async fn answer<T: Record>(&self, asked: &str) -> Result<Option<T>, Broken> {
        let response = self.send(T::COLLECTION, asked).await?;
        let status = response.status();
        // Read in any case: what is left of it would cost the connection.
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                return Err(Broken::Service(format!("it answers {}", status.as_u16())));
            }
            _ => {
                let why = format!("{} where 200 or 404 is expected", status.as_u16());
                return Err(Broken::Answer(why));
            }
        }
        match body {
            Ok(body) => T::read(&body.to_bytes(), asked).map(Some).map_err(Broken::Answer),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(Broken::Answer(format!("more than {LARGEST} bytes")))
            }
            Err(error) => Err(Broken::Service(format!("its answer broke off: {error}"))),
        }
    }

    async fn send(&self, collection: &str, asked: &str) -> Result<Response<Incoming>, Broken> {
        let segment = utf8_percent_encode(asked, SEGMENT);
        let uri: Uri = format!("{}/{collection}/{segment}", self.base)
            .parse()
            .map_err(|_| Broken::Answer("its name makes no URL".to_owned()))?;
        let mut sent = self.client.request(self.question(&uri)).await;
        if sent.as_ref().is_err_and(was_closing) {
            sent = self.client.request(self.question(&uri)).await;
        }
        sent.map_err(|error| {
            let broken = if error.is_connect() { Broken::Nobody } else { Broken::Service };
            broken(reason(&error))
        })
    }

    fn question(&self, uri: &Uri) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri.clone();
        let fields = request.headers_mut();
        fields.insert(ACCEPT, HeaderValue::from_static("application/json"));
        fields.extend(self.bearer.clone().map(|bearer| (AUTHORIZATION, bearer)));
        request
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remembering<T>() -> Answers<T> {
    Mutex::new(LruCache::sparse(REMEMBERED))
}

/// What is remembered of a question: a new one where nothing is, or what was is over.
fn remembered<T>(answers: &Answers<T>, asked: &str) -> Arc<Cell<T>> {
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(remembered) = answers.get(asked).filter(|answer| !is_over(answer)) {
        return remembered.clone();
    }
    // Nobody is remembered for longer than that counts while others are asked about: two go for
    // each that comes, so that it never takes long.
    for _ in 0..2 {
        if answers.peek_lru().is_some_and(|(_, answer)| is_over(answer)) {
            answers.pop_lru();
        }
    }
    let new = Arc::default();
    answers.put(asked.to_owned(), Arc::clone(&new));
    new
}

/// Whether an answer counts no more; one that is still waited for does.
fn is_over<T>(answer: &Cell<T>) -> bool {
    match answer.get() {
        None => false,
        Some(Ok(known)) => Instant::now() >= known.until,
        Some(Err(failure)) => failure.is_over(),
    }
}

/// Whether it met a connection that the service was just closing: asked again on a new one, it
/// may be answered.
fn was_closing(error: &Error) -> bool {
    causes(error).any(|cause| {
        let http = cause.downcast_ref::<hyper::Error>();
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        http.is_some_and(|http| http.is_incomplete_message() || http.is_closed())
            || matches!(io, Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe))
    })
}
