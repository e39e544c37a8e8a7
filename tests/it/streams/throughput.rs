//! What it costs to meter a stream.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tower::{Layer, Service, ServiceExt};
use tower_quota::{Cost, Limit, Quota, Settle, TokenBudgetLayer};

/// Of every stream.
const SIZE: usize = 100 << 20;
/// What a metered stream may take, in untouched ones.
const MOST: f64 = 1.10;
/// Rounds until a quiet one: noise adds, and takes nothing away.
const ROUNDS: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Api {
    Chat,
    Messages,
    Gemini,
}

impl Api {
    fn event(self) -> &'static str {
        match self {
            Self::Chat => {
                "data: {\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\"created\":1741569952,\
                 \"model\":\"gpt-4.1-2025-04-14\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{\"index\":0,\
                 \"delta\":{\"content\":\" harbour\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"
            }
            Self::Messages => {
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
                 \"delta\":{\"type\":\"text_delta\",\"text\":\" some words more\"}}\n\n"
            }
            Self::Gemini => {
                "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"of several words, as they come together here\"}],\"role\": \"model\"},\
                 \"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 30,\"candidatesTokenCount\": 20,\"totalTokenCount\": 50,\
                 \"promptTokensDetails\": [{\"modality\": \"TEXT\",\"tokenCount\": 30}]},\"modelVersion\": \"gemini-2.5-flash\",\"responseId\": \"x\"}\r\n\r\n"
            }
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Chat => super::USAGE,
            Self::Messages => {
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"input_tokens\":30,\"output_tokens\":20}}\n\n"
            }
            Self::Gemini => "",
        }
    }

    /// What makes up the stream, in chunks of about this size that end anywhere, or with an event
    /// each for none.
    fn chunks(self, size: Option<usize>) -> Vec<Bytes> {
        let event = self.event();
        let size = size.unwrap_or(event.len());
        let times = (size * 64).div_ceil(event.len());
        let block = Bytes::from(event.repeat(times));
        let mut chunks: Vec<Bytes> = Vec::new();
        for n in 0..SIZE / block.len() {
            if n == 0 {
                let chunks_of = block.chunks(size);
                chunks = chunks_of.map(|chunk| block.slice_ref(chunk)).collect();
            } else {
                chunks.extend_from_within(..block.len().div_ceil(size));
            }
        }
        chunks.push(Bytes::from(self.end()));
        chunks
    }
}

/// A thread of this process.
struct Thread(PathBuf);

impl Thread {
    fn current() -> Self {
        let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        Self(Path::new("/proc").join(link).join("schedstat"))
    }

    /// For how long it was on a processor, whoever else wanted one; nothing where the system doesn't say.
    fn ran(&self) -> Duration {
        // The time of a thread that goes on running isn't up to date.
        thread::yield_now();
        let stat = std::fs::read_to_string(&self.0).unwrap_or_default();
        let nanos = stat.split(' ').next().and_then(|ran| ran.parse().ok());
        Duration::from_nanos(nanos.unwrap_or(0))
    }
}

/// A server on a thread of its own that sends the same stream to everyone.
fn serve(chunks: Vec<Bytes>) -> (SocketAddr, Thread) {
    let (told, told_by_server) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            told.send((addr, Thread::current())).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let answer = |_: Request<Incoming>| {
                let frames = chunks
                    .clone()
                    .into_iter()
                    .map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
                let body = StreamBody::new(futures_util::stream::iter(frames));
                let head = Response::builder().header("content-type", "text/event-stream");
                std::future::ready(head.body(body))
            };
            let service = hyper::service::service_fn(answer);
            // Ends when the client hangs up.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    });
    told_by_server.recv().unwrap()
}

/// Pages of this process that are in memory, in KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4
}

/// Reads it all: by how much memory grew behind the first tenth.
async fn drain<B: Body<Data = Bytes>>(body: B) -> usize {
    let (mut body, mut read) = (pin!(body), 0);
    let (mut least, mut most, mut next) = (0, 0, SIZE / 10);
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read >= next {
            next += SIZE / 10;
            most = most.max(resident());
            if least == 0 {
                least = most;
            }
        }
    }
    assert!(read > SIZE - (4 << 20), "{read}");
    most - least
}

/// What it took to get a stream.
struct Run {
    wall: Duration,
    sender: Duration,
    receiver: Duration,
    // KiB.
    memory: usize,
}

async fn get<S, B>(service: &S, (addr, sender): &(SocketAddr, Thread)) -> Run
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>> + Clone,
    B: Body<Data = Bytes>,
{
    let receiver = Thread::current();
    let (sent, received, start) = (sender.ran(), receiver.ran(), Instant::now());
    let request = Request::get(format!("http://{addr}/"))
        .body(Empty::new())
        .unwrap();
    let Ok(answer) = service.clone().oneshot(request).await else {
        panic!("no answer");
    };
    let memory = drain(answer.into_body()).await;
    Run {
        wall: start.elapsed(),
        sender: sender.ran() - sent,
        receiver: receiver.ran() - received,
        memory,
    }
}

impl Run {
    /// How many times as long as this one the other may take, on a machine with nothing else to do: the
    /// stream comes no faster than the busier of the two threads is, and what the other adds is the receiver's.
    fn slows(&self, other: &Self) -> f64 {
        let busier = self.sender.max(self.receiver).as_secs_f64();
        if busier == 0.0 {
            return other.wall.as_secs_f64() / self.wall.as_secs_f64();
        }
        1.0 + (other.receiver.as_secs_f64() - self.receiver.as_secs_f64()) / busier
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// `cargo test --release --all-features --test it -- --ignored --nocapture a_metered_stream`
///
/// Of a hundred megabytes over loopback, on two cores that others used too; MB/s untouched, and how many times as long it
/// takes metered, in five runs, by the time that the threads were on a processor. Memory grew by nothing.
///
/// | | an event a chunk | 1,000 bytes a chunk | 16 KiB a chunk |
/// |---|---|---|---|
/// | OpenAI's chat | 374: 1.03 to 1.10 | 1,076: 1.05 to 1.10 | 3,615: 1.02 to 1.04 |
/// | Anthropic's messages | 174: 1.01 to 1.05 | 1,075: 1.04 to 1.09 | 3,676: 1.03 to 1.06 |
/// | Gemini, with a usage in every event | 423: 1.03 to 1.08 | 1,056: 1.05 to 1.09 | 3,668: 1.00 to 1.03 |
///
/// Untouched ones against each other, while others built on both cores: 0.986 to 1.010. Hence the goal itself is the bar, for the
/// quietest of five rounds.
#[test]
#[ignore = "measures; only a release build says anything"]
fn a_metered_stream_takes_little_longer_and_no_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let mut slow = Vec::new();
        // Pairs of runs in a round, of which the median counts: more of those that are over soon.
        for (size, pairs) in [(None, 3), (Some(1_000), 9), (Some(16 * 1024), 25)] {
            for api in [Api::Chat, Api::Messages, Api::Gemini] {
                let ratio = compare(api, size, pairs).await;
                if ratio > MOST {
                    slow.push((api, size, ratio));
                }
            }
        }
        assert!(slow.is_empty(), "{slow:.3?}");
    });
}

/// How many times as long as untouched a metered stream takes, in the quietest round.
async fn compare(api: Api, size: Option<usize>, pairs: usize) -> f64 {
    let server = serve(api.chunks(size));
    let untouched: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let quota = Quota::new(Limit::tokens(1_000_000, Duration::from_secs(86_400))).unwrap();
    let metered = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::tokens(400))
        .settle(Settle::TrueUp)
        .layer(untouched.clone());
    get(&untouched, &server).await;
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (mut plain, mut walls, mut ratios, mut grown) = (vec![], vec![], vec![], 0);
        for n in 0..pairs {
            // Who goes first takes turns.
            let mut without = None;
            if n % 2 == 0 {
                without = Some(get(&untouched, &server).await);
            }
            let used = quota.snapshot().limits[0].used;
            let with = get(&metered, &server).await;
            assert_eq!(
                quota.snapshot().limits[0].used - used,
                50,
                "settled by its usage"
            );
            let without = match without {
                Some(without) => without,
                None => get(&untouched, &server).await,
            };
            plain.push(SIZE as f64 / 1e6 / without.wall.as_secs_f64());
            walls.push(with.wall.as_secs_f64() / without.wall.as_secs_f64());
            ratios.push(without.slows(&with));
            grown = grown.max(with.memory);
        }
        let (plain, wall, ratio) = (median(plain), median(walls), median(ratios));
        println!(
            "{api:?} in {size:?}: {plain:.0} MB/s untouched; metered {ratio:.3} times as long, {wall:.3} by the clock, \
             {grown} KiB more in memory"
        );
        assert!(grown <= 4 * 1024, "{grown} KiB");
        least = least.min(ratio);
        if least <= MOST {
            break;
        }
    }
    least
}
