//! A wire between a client and a server that can freeze, and cut off answers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Passes on what comes to a port, until it's told otherwise.
#[derive(Clone, Default)]
pub struct Proxy {
    frozen: Arc<AtomicU32>,
    made: Arc<AtomicU32>,
    cuts: Arc<AtomicBool>,
}

impl Proxy {
    /// In front of a port; and its own.
    pub async fn before(port: u16) -> (Self, u16) {
        let proxy = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let made = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = made.made.fetch_add(1, Ordering::SeqCst) + 1;
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    made.pass(number, client, server);
                }
            }
        });
        (proxy, own)
    }

    /// Every connection so far is silent from now on, and stays open.
    pub fn freeze(&self) {
        self.frozen
            .store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The next answer is lost with its connection.
    pub fn cut(&self) {
        self.cuts.store(true, Ordering::SeqCst);
    }

    fn pass(&self, number: u32, client: TcpStream, server: TcpStream) {
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let is_frozen = {
            let proxy = self.clone();
            move || proxy.frozen.load(Ordering::SeqCst) >= number
        };
        let frozen = is_frozen.clone();
        tokio::spawn(async move {
            let mut bytes = vec![0; 65_536];
            while let Ok(n) = from_client.read(&mut bytes).await {
                if n == 0 {
                    return;
                }
                if !frozen() && to_server.write_all(&bytes[..n]).await.is_err() {
                    return;
                }
            }
        });
        let cuts = Arc::clone(&self.cuts);
        tokio::spawn(async move {
            let mut bytes = vec![0; 65_536];
            while let Ok(n) = from_server.read(&mut bytes).await {
                if n == 0 || cuts.swap(false, Ordering::SeqCst) {
                    return;
                }
                if !is_frozen() && to_client.write_all(&bytes[..n]).await.is_err() {
                    return;
                }
            }
        });
    }
}
