//! Ten tenants of three tiers, over 200 connections from a second process.

use std::{
    collections::BTreeMap,
    env,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Body, routing::post};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::sleep};
use tower::{ServiceBuilder, layer::layer_fn, util::MapRequest};
use tower_quota::{Limit, Quota, RateLimitLayer, RespondLayer};

use super::{number, second_process, tenant};
use crate::servers::Server;

const SECOND: Duration = Duration::from_secs(1);
const RUN: Duration = Duration::from_secs(4);
/// Requests in any second, and in any two.
const TIERS: [(&str, usize, u64, u64); 3] = [
    ("free", 4, 4, 6),
    ("pro", 3, 20, 30),
    ("enterprise", 3, 60, 90),
];
const CONNECTIONS: usize = 200;
const SERVER: &str = "TOWER_QUOTA_TEST_SERVER";

/// Everybody's name.
fn tenants() -> Vec<String> {
    let of_tier = |(tier, many, ..): &(&str, usize, u64, u64)| {
        let tier = (*tier).to_owned();
        (0..*many).map(move |n| format!("{tier}-{n}"))
    };
    TIERS.iter().flat_map(of_tier).collect()
}

fn tier(tenant: &str) -> (u64, u64) {
    let of = |(tier, ..): &&(&str, usize, u64, u64)| tenant.starts_with(tier);
    let (.., one, two) = TIERS.iter().find(of).expect("a tenant of ours");
    (*one, *two)
}

fn quota(tenant: &str) -> Quota {
    let (one, two) = tier(tenant);
    // What was let in may be looked at by the handler so much later, on a machine that has other things to do.
    let limits = [
        Limit::requests(one, SECOND),
        Limit::requests(two, 2 * SECOND),
    ];
    let [one, two] = limits.map(|limit| limit.transit(SECOND / 8));
    Quota::builder().limit(one).limit(two).build().unwrap()
}

type Seen = Arc<Mutex<BTreeMap<String, Vec<Instant>>>>;

/// The most within any stretch of `window`.
fn most(times: &[Instant], window: Duration) -> usize {
    let from = |start: usize| {
        let within = times[start..].iter();
        within.take_while(|at| **at < times[start] + window).count()
    };
    (0..times.len()).map(from).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_stays_within_its_quota_in_every_window() {
    let seen = Seen::default();
    let note = {
        let seen = Arc::clone(&seen);
        // As soon as it is let in, before any handler.
        layer_fn(move |inner| {
            let seen = Arc::clone(&seen);
            MapRequest::new(inner, move |request: Request<Body>| {
                let now = Instant::now();
                let mut seen = seen.lock().unwrap();
                seen.entry(tenant(&request)).or_default().push(now);
                request
            })
        })
    };
    let app = Router::new().route("/", post(|| async { "hello" })).layer(
        ServiceBuilder::new()
            .layer(RespondLayer::new())
            .layer(
                RateLimitLayer::unlimited()
                    .keyed_by(tenant::<Body>, |tenant: &String| quota(tenant))
                    .on_arrival()
                    .reject()
                    .tell(),
            )
            .layer(note),
    );
    let server = Server::of(app).await;
    let address = server.0.to_string();
    let asking = second_process("tenants::load::the_second_process", (SERVER, &address)).output();
    let asked = tokio::time::timeout(Duration::from_secs(60), asking).await;
    let asked = asked.expect("it ends by itself").unwrap();
    let told = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{told}");

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), tenants().len());
    for (name, times) in &*seen {
        let (one, two) = tier(name);
        let (in_one, in_two) = (most(times, SECOND), most(times, 2 * SECOND));
        println!(
            "{name}: {} in all, at most {in_one} of {one} in a second, {in_two} of {two} in two",
            times.len()
        );
        assert!(in_one as u64 <= one && in_two as u64 <= two, "{name}");
        assert!(times.len() as u64 >= two * 3 / 2, "{name} gets what it may");
    }
    let line = told.lines().find(|line| line.contains("let in"));
    println!("{}", line.unwrap_or_default());
}

/// Does nothing where nobody has told it which server to ask.
#[test]
#[ignore = "the second process of the test above"]
fn the_second_process() {
    let Ok(server) = env::var(SERVER) else {
        return;
    };
    let server: SocketAddr = server.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        for name in tenants().into_iter().cycle().take(CONNECTIONS) {
            connections.spawn(ask(server, name));
        }
        let counts = connections.join_all().await;
        let sum = |of: fn(&(u64, u64)) -> u64| counts.iter().map(of).sum::<u64>();
        println!("{} let in, {} refused", sum(|c| c.0), sum(|c| c.1));
        assert!(counts.iter().all(|(_, refused)| *refused > 0));
    });
}

/// One connection, over which a tenant asks as long as the run lasts: how often it was let in and refused.
async fn ask(server: SocketAddr, name: String) -> (u64, u64) {
    let stream = TcpStream::connect(server).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let begin = Instant::now();
    let (mut let_in, mut refused) = (0, 0);
    let (one, _) = tier(&name);
    while begin.elapsed() < RUN {
        let request = Request::post("/")
            .header("host", "tenants")
            .header("x-api-key", &name)
            .body(Empty::<bytes::Bytes>::new());
        sender.ready().await.unwrap();
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        body.collect().await.unwrap();
        let standing = head.headers["ratelimit"].to_str().unwrap();
        match head.status {
            StatusCode::OK => {
                let_in += 1;
                assert!(
                    standing.starts_with("\"requests-per-second\";r="),
                    "{standing}"
                );
                let left = number(&head.headers, "x-ratelimit-remaining").unwrap();
                assert!(left < one || left < 90);
            }
            StatusCode::TOO_MANY_REQUESTS => {
                refused += 1;
                let wait = number(&head.headers, "retry-after");
                assert!(matches!(wait, Some(1..=3)), "{name}: {wait:?}");
                sleep(SECOND / 8).await;
            }
            status => panic!("{name}: {status}"),
        }
    }
    driver.abort();
    (let_in, refused)
}
