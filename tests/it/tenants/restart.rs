//! A server that is killed in the middle of the day, and begins anew.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{Router, routing::post};
use http::StatusCode;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
};
use tower::ServiceBuilder;
use tower_quota::{
    Anchor, Limit, Quota, RateLimitLayer, RespondLayer,
    quota::{QuotaBuilder, SavedState},
};

use super::{number, second_process, tenant};
use crate::servers::listen;

const A_DAY: u64 = 50;
const NOON: Duration = Duration::from_secs(12 * 3_600);
const STATE: &str = "TOWER_QUOTA_TEST_STATE";

/// The quotas of tenants, which outlive the process.
#[derive(Clone)]
struct Books {
    file: PathBuf,
    midnight: SystemTime,
    saved: Arc<BTreeMap<String, SavedState>>,
    quotas: Arc<Mutex<BTreeMap<String, Quota>>>,
}

impl Books {
    /// `what` is the file, and when the day began, in seconds since 1970.
    fn open(what: &str) -> io::Result<Self> {
        let (midnight, file) = what.split_once(' ').expect("when, and a file");
        let saved = match fs::read(file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let midnight = Duration::from_secs(midnight.parse().expect("seconds"));
        Ok(Self {
            file: file.into(),
            midnight: SystemTime::UNIX_EPOCH + midnight,
            saved: Arc::new(saved),
            quotas: Arc::default(),
        })
    }

    fn builder(&self) -> QuotaBuilder {
        let day = Limit::requests_per_day(A_DAY).fixed(Anchor::at(self.midnight));
        Quota::builder().limit(day.transit(Duration::ZERO))
    }

    fn quota(&self, tenant: &str) -> Quota {
        let builder = match self.saved.get(tenant) {
            Some(saved) => self.builder().restore(saved.clone()),
            None => self.builder(),
        };
        let quota = builder.build().unwrap();
        let mut quotas = self.quotas.lock().unwrap();
        quotas.entry(tenant.to_owned()).or_insert(quota).clone()
    }

    /// Whole, or not at all.
    fn save(&self) -> io::Result<()> {
        let mut all = (*self.saved).clone();
        let quotas = self.quotas.lock().unwrap();
        all.extend(
            quotas
                .iter()
                .map(|(name, quota)| (name.clone(), quota.save())),
        );
        let half = self.file.with_extension("half");
        fs::write(&half, serde_json::to_vec(&all)?)?;
        fs::rename(half, &self.file)
    }
}

/// Serves until it is killed, where it is told from which state.
#[test]
#[ignore = "the second process of the test below"]
fn the_server() {
    let Ok(what) = env::var(STATE) else {
        return;
    };
    let books = Books::open(&what).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let own = books.clone();
        let limit = RateLimitLayer::unlimited()
            .keyed_by(tenant::<axum::body::Body>, move |name: &String| {
                own.quota(name)
            })
            .on_arrival()
            .reject()
            .tell();
        let layers = ServiceBuilder::new()
            .layer(RespondLayer::new())
            .layer(limit);
        let app = Router::new()
            .route("/", post(|| async { "hello" }))
            .layer(layers)
            .route(
                "/save",
                post(move || async move { books.save().map_err(|e| e.to_string()) }),
            );
        let (listener, address) = listen().await.unwrap();
        println!("listening on {address}");
        axum::serve(listener, app).await.unwrap();
    });
}

struct Server {
    process: Child,
    url: String,
    client: reqwest::Client,
}

impl Server {
    async fn start(state: &Path, midnight: Duration) -> Self {
        let what = format!("{} {}", midnight.as_secs(), state.display());
        let mut process = second_process("tenants::restart::the_server", (STATE, &what))
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next_line().await.unwrap().expect("it listens");
            if let Some((_, address)) = line.split_once("listening on ") {
                break format!("http://{address}");
            }
        };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            process,
            url,
            client,
        }
    }

    async fn ask(&self, path: &str, tenant: &str) -> reqwest::Response {
        let request = self.client.post(format!("{}{path}", self.url));
        request.header("x-api-key", tenant).send().await.unwrap()
    }

    /// Asks so often: how many were let in, and what the last was told is left.
    async fn let_in(&self, tenant: &str, times: u64) -> (u64, u64) {
        let (mut let_in, mut left) = (0, None);
        for _ in 0..times {
            let answer = self.ask("/", tenant).await;
            if answer.status() == StatusCode::OK {
                let_in += 1;
            } else {
                assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
                // Until midnight, not until the next minute.
                let wait = number(answer.headers(), "retry-after").unwrap();
                assert!(
                    (NOON.as_secs() - 600..=NOON.as_secs()).contains(&wait),
                    "{wait}"
                );
            }
            left = number(answer.headers(), "x-ratelimit-remaining");
        }
        (let_in, left.unwrap())
    }

    /// As a crash, or a machine that loses its power.
    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

#[tokio::test]
async fn the_rest_of_the_day_admits_the_rest() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let midnight = now.unwrap() - NOON;
    let folder = env::temp_dir().join(format!("tower-quota-restart-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let state = folder.join("state.json");

    let server = Server::start(&state, midnight).await;
    assert_eq!(server.let_in("alice", 30).await, (30, 20));
    assert_eq!(server.let_in("bob", 10).await, (10, 40));
    assert_eq!(server.ask("/save", "").await.status(), StatusCode::OK);
    server.kill().await;

    let server = Server::start(&state, midnight).await;
    assert_eq!(
        server.let_in("alice", 30).await,
        (20, 0),
        "20 were left of 50"
    );
    assert_eq!(server.let_in("bob", 1).await, (1, 39));
    assert_eq!(server.let_in("carol", 1).await, (1, 49), "nobody knew her");
    assert_eq!(server.ask("/save", "").await.status(), StatusCode::OK);
    // What came after it was last saved is lost with the process, and nothing else.
    assert_eq!(server.let_in("bob", 3).await, (3, 36));
    server.kill().await;

    let server = Server::start(&state, midnight).await;
    assert_eq!(server.let_in("alice", 5).await, (0, 0));
    assert_eq!(server.let_in("bob", 60).await, (39, 0));
    server.kill().await;
    fs::remove_dir_all(folder).unwrap();
}
