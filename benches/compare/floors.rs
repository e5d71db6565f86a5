//! The floors: bare hyper, with nothing or one signature's work a request. Each is a process of
//! its own, on the server's core: this program with other arguments.

use std::{
    convert::Infallible,
    io::Read as _,
    net::SocketAddr,
    process::Command,
    rc::Rc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode, body::Incoming, client, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::machine::{Cores, Process, free_address, own_time, pin};

/// The argument that makes this program a floor.
pub(crate) const FLOOR: &str = "--floor";

/// What bare hyper does for each request, after reading its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    Nothing,
    /// `verify_strict` of the token in the path or the body.
    Verify,
    /// One `sign` of a message as long as a link's.
    Sign,
    /// hyper's own client passes it on as it is, by one connection for each that is here.
    PassOn,
}

impl Work {
    pub(crate) const ALL: [Self; 4] = [Self::Nothing, Self::Verify, Self::Sign, Self::PassOn];

    /// What the table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "bare hyper",
            Self::Verify => "bare hyper + verify_strict",
            Self::Sign => "bare hyper + sign",
            Self::PassOn => "bare hyper + hyper's client",
        }
    }
}

/// A floor that runs.
#[derive(Debug)]
pub(crate) struct Floor {
    pub process: Process,
    pub at: SocketAddr,
}

impl Floor {
    /// Starts one. `key` verifies; `message` is what is signed, or where it is passed on to.
    pub(crate) fn start(cores: Cores, work: Work, key: &[u8; 32], message: &str) -> Self {
        let at = free_address();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let key = URL_SAFE_NO_PAD.encode(key);
        command.args([FLOOR, work.name(), &at.to_string(), &key, message]);
        let mut process = Process::on_core(cores.server, work.name(), command);
        process.listens(at);
        Self { process, at }
    }
}

/// What the process of a floor does, until its owner is gone.
pub(crate) fn serve(arguments: &[String]) {
    let [work, at, key, message] = arguments else { panic!("not a floor's arguments") };
    let work = Work::ALL.into_iter().find(|known| known.name() == work).unwrap();
    let at: SocketAddr = at.parse().unwrap();
    let key = URL_SAFE_NO_PAD.decode(key).unwrap().try_into().unwrap();
    let key = VerifyingKey::from_bytes(&key).unwrap();
    let message: &'static str = message.clone().leak();
    let signing = SigningKey::from_bytes(&[7; 32]);
    std::thread::spawn(|| {
        // Its end is the owner's end.
        let _ = std::io::stdin().read(&mut [0]);
        #[allow(clippy::disallowed_methods, reason = "nothing of a floor outlives its owner")]
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async move {
        let listener = listening(at);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            stream.set_nodelay(true).unwrap();
            let signing = signing.clone();
            let io = TokioIo::new(stream);
            if work == Work::PassOn {
                tokio::task::spawn_local(pass_on(io, message));
                continue;
            }
            let service =
                service_fn(move |request| answer(request, work, key, signing.clone(), message));
            tokio::task::spawn_local(http1::Builder::new().serve_connection(io, service));
        }
    });
}

async fn pass_on(io: TokioIo<TcpStream>, to: &str) {
    let upstream = TcpStream::connect(to).await.unwrap();
    upstream.set_nodelay(true).unwrap();
    let (send, connection) = client::conn::http1::handshake(TokioIo::new(upstream)).await.unwrap();
    tokio::task::spawn_local(connection);
    // One request at a time, so never contended.
    let send = Rc::new(tokio::sync::Mutex::new(send));
    let service = service_fn(move |request: Request<Incoming>| {
        let send = send.clone();
        async move {
            let mut send = send.lock().await;
            send.ready().await?;
            send.send_request(request).await
        }
    });
    // Who hangs up is gone.
    let _ = http1::Builder::new().serve_connection(io, service).await;
}

fn listening(at: SocketAddr) -> tokio::net::TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(at).unwrap();
    socket.listen(4096).unwrap()
}

async fn answer(
    request: Request<Incoming>,
    work: Work,
    key: VerifyingKey,
    signing: SigningKey,
    message: &'static str,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (status, answer) = match work {
        Work::Nothing => (StatusCode::OK, Bytes::from_static(b"good")),
        Work::Verify => {
            let token = head.uri.path().strip_prefix("/_once/l/").map_or_else(
                || &body[r#"{"token":""#.len()..body.len() - r#""}"#.len()],
                str::as_bytes,
            );
            let dot = token.iter().rposition(|byte| *byte == b'.').unwrap();
            let mut signature = [0; 64];
            URL_SAFE_NO_PAD.decode_slice(&token[dot + 1..], &mut signature).unwrap();
            match key.verify_strict(&token[..dot], &Signature::from_bytes(&signature)) {
                Ok(()) => (StatusCode::OK, Bytes::from_static(b"good")),
                Err(_) => (StatusCode::FORBIDDEN, Bytes::from_static(b"bad")),
            }
        }
        Work::Sign => {
            let signature = signing.sign(message.as_bytes());
            (StatusCode::OK, Bytes::from(URL_SAFE_NO_PAD.encode(signature.to_bytes())))
        }
        Work::PassOn => unreachable!("it does not answer itself"),
    };
    let mut response = Response::new(Full::from(answer));
    *response.status_mut() = status;
    Ok(response)
}

/// Signs in a loop on the server's core: how many, in what time by the wall and by its own.
pub(crate) fn sign_in_a_loop(
    cores: Cores,
    message: &str,
    time: Duration,
) -> (usize, Duration, Duration) {
    let message = message.to_owned();
    let signing = SigningKey::from_bytes(&[7; 32]);
    let signed = std::thread::spawn(move || {
        pin(cores.server);
        let (started, own) = (Instant::now(), own_time());
        let mut count = 0;
        while started.elapsed() < time {
            for _ in 0..100 {
                std::hint::black_box(signing.sign(std::hint::black_box(message.as_bytes())));
            }
            count += 100;
        }
        (count, started.elapsed(), own_time().saturating_sub(own))
    });
    signed.join().unwrap()
}
