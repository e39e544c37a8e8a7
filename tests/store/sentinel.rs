//! A primary that Sentinel watches over: it dies, a replica is promoted, and the other way round.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tower_quota::{
    Limit,
    quota::shared::{OnStoreDown, RedisStore},
};

use crate::{
    fleet::{Fleet, bound, counted, seconds, share, until, within},
    server::{Server, ask, free_port, program, user},
};

const WINDOW: Duration = Duration::from_secs(3);
const LIMIT: usize = 200;
const NAME: &str = "quotas";
/// Of the sentinels: they don't log in where the quotas do.
const PASSWORD: &str = "watchword";

/// Watches over a primary, and is killed when it's dropped.
struct Sentinel {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl Sentinel {
    fn over(primary: u16, quorum: usize) -> Self {
        let port = free_port();
        let dir = env::temp_dir().join(format!("tower-quota-sentinel-{port}"));
        fs::create_dir_all(&dir).unwrap();
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {dir}\nsentinel monitor {NAME} 127.0.0.1 {primary} {quorum}\n\
             sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 3000\n\
             requirepass {PASSWORD}\nsentinel sentinel-pass {PASSWORD}\n",
            dir = dir.display()
        );
        // It writes there what it finds out.
        let file = dir.join("sentinel.conf");
        fs::write(&file, settings).unwrap();
        let child = Command::new(program().unwrap())
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, dir, port }
    }

    fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    fn ask(&self, command: &[&str]) -> Result<::redis::Value, ::redis::RedisError> {
        ask(&self.url(), command)
    }

    /// The port of the primary that it knows.
    fn primary(&self) -> Option<u16> {
        let answer = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        let parts: Vec<String> = ::redis::from_redis_value(answer.ok()?).ok()?;
        parts.get(1)?.parse().ok()
    }

    /// What it knows of the primary in numbers.
    fn knows(&self, what: &str) -> u32 {
        let answer = self.ask(&["SENTINEL", "MASTER", NAME]);
        let parts = answer.and_then(|answer| Ok(::redis::from_redis_value(answer)?));
        let parts: Vec<String> = parts.unwrap_or_default();
        let value = parts.iter().skip_while(|part| *part != what).nth(1);
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_dies_is_followed_by_its_replica_and_nothing_is_forgotten() {
    let Some(mut first) = Server::on_a_port(&user()) else {
        return;
    };
    let primary = first.port().to_string();
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let replica = [
        &["--replicaof", "127.0.0.1", &primary][..],
        &at_once,
        &user(),
    ]
    .concat();
    let second = Server::on_a_port(&replica).unwrap();
    let sentinels: Vec<_> = (0..3).map(|_| Sentinel::over(first.port(), 2)).collect();
    until("known to each other", || {
        sentinels.iter().all(|sentinel| {
            sentinel.knows("num-slaves") == 1 && sentinel.knows("num-other-sentinels") == 2
        })
    })
    .await;
    // Nobody is at the first address.
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let addresses: Vec<_> = std::iter::once(nobody)
        .chain(sentinels.iter().map(Sentinel::url))
        .collect();
    let store = || {
        let addresses = addresses.iter().map(String::as_str);
        RedisStore::sentinel(NAME, addresses, "redis://pool:secret@127.0.0.1").unwrap()
    };
    let mut tight = Fleet::new(
        4,
        &Limit::requests(LIMIT as u64, WINDOW),
        |_| store(),
        share,
    );
    let wait = OnStoreDown::Wait {
        max: Duration::from_secs(60),
    };
    let mut exact = Fleet::named(
        "exact",
        2,
        &Limit::requests(100_000, Duration::from_secs(60)),
        |_| store(),
        |builder| builder.on_store_down(wait),
    );
    tight.send(8, Duration::from_millis(5));
    exact.send(3, Duration::from_millis(5));
    seconds(1.0).await;

    first.kill();
    let killed = Instant::now();
    let promoted = until("promoted", || {
        sentinels.iter().all(|s| s.primary() == Some(second.port()))
    })
    .await;
    seconds(1.5).await;
    let next = exact.log.next_after(promoted).unwrap();
    println!(
        "killed: promoted after {:?}, granted {next:?} later, {} of {LIMIT} in a window",
        promoted - killed,
        tight.log.most_in(WINDOW)
    );
    assert!(next < within(Duration::from_millis(500)), "{next:?}");

    // It comes back empty, is made a replica, and is promoted while the other lives.
    first.run();
    until("a replica again", || {
        // Whoever demotes it breaks all connections.
        let role = format!("{:?}", first.try_command(&["ROLE"]));
        role.contains("slave") && role.contains("connected")
    })
    .await;
    let promoted = until("promoted", || {
        // A step that takes longer than three seconds ends the change; while one is under way another is refused.
        if sentinels[0].primary() != Some(first.port()) {
            let _ = sentinels[0].ask(&["SENTINEL", "FAILOVER", NAME]);
        }
        sentinels.iter().all(|s| s.primary() == Some(first.port()))
    })
    .await;
    seconds(1.5).await;
    let next = exact.log.next_after(promoted).unwrap();
    println!("demoted: granted {next:?} after the other was promoted");
    assert!(next < within(Duration::from_millis(500)), "{next:?}");

    exact.stop().await;
    let (sent, counted) = (exact.log.times().len(), counted(&exact).await);
    println!(
        "{counted} counted of {sent} sent, {} of {LIMIT} in a window",
        tight.log.most_in(WINDOW)
    );
    assert_eq!(counted, sent, "each once");
    assert!(tight.log.most_in(WINDOW) <= bound(LIMIT));
}
