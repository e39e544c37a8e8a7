//! The provider as an HTTP/1.1 server on loopback.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use super::{Arrival, Faults, Provider, ProviderBuilder, Report, service::serve};

/// A provider as an HTTP server on loopback. Dropped, it closes its port and cuts its connections.
///
/// See [the module](super) for examples.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct ProviderBox {
    provider: Provider,
    addr: SocketAddr,
    accepting: JoinHandle<()>,
}

impl ProviderBox {
    /// Sets up a provider that speaks as OpenAI does.
    pub fn openai() -> ProviderBuilder {
        Provider::openai()
    }

    /// Sets up a provider that speaks as Azure OpenAI does: [`Provider::azure`].
    pub fn azure() -> ProviderBuilder {
        Provider::azure()
    }

    /// Sets up a provider that speaks as Groq does: [`Provider::groq`].
    pub fn groq() -> ProviderBuilder {
        Provider::groq()
    }

    /// Sets up a provider that speaks as Anthropic does: [`Provider::anthropic`].
    pub fn anthropic() -> ProviderBuilder {
        Provider::anthropic()
    }

    /// Sets up a provider that speaks as Gemini does: [`Provider::gemini`].
    pub fn gemini() -> ProviderBuilder {
        Provider::gemini()
    }

    /// Serves a provider on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// Whatever keeps the port from being opened.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O.
    pub async fn start(provider: Provider) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self {
            addr: listener.local_addr()?,
            accepting: tokio::spawn(accept(listener, provider.clone())),
            provider,
        })
    }

    /// What API clients are told: `http://127.0.0.1:PORT/v1`; `/openai/v1` for Azure and Groq,
    /// `/v1beta` for Gemini.
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.addr, self.provider.base_path())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The provider that it serves.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Changes what goes wrong from now on: [`Provider::faults`].
    pub fn faults(&self, change: impl FnOnce(Faults) -> Faults) {
        self.provider.faults(change);
    }

    /// Answers the next request with exactly this: [`Provider::then_answer`].
    pub fn then_answer(&self, answer: Response<impl Into<Bytes>>) {
        self.provider.then_answer(answer);
    }

    /// What it saw so far: [`Provider::report`].
    pub fn report(&self) -> Report {
        self.provider.report()
    }

    /// The arrivals that are kept, oldest first: [`Provider::arrivals`].
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.provider.arrivals()
    }

    /// Stops as a drop does, and waits until the port is closed.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // An error is the abort itself.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for ProviderBox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Connections live in this task's set, so that they end when it does.
async fn accept(listener: TcpListener, provider: Provider) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if provider.accept(Instant::now()) => {
                    connections.spawn(connection(stream, provider.clone()));
                }
                Ok(_) => {}
                // Out of file descriptors, most likely: some may be free soon.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, provider: Provider) {
    // Both only make it slower if they fail: the peer has gone.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| serve(provider.clone(), request));
    // No timer, hence no time-outs: in paused time they would run out at once.
    let _ = http1::Builder::new()
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
