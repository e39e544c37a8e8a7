//! What happens on the way to a server.

use std::time::{Duration, Instant};

use tower_quota::{
    Cost, Limit, Quota, Reason,
    quota::shared::{OnStoreDown, RedisStore},
};

use crate::{fleet::seconds, proxy::Proxy, server::Server};

fn quota(port: u16, amount: u64, policy: OnStoreDown) -> Quota {
    let store = RedisStore::connect(&format!("redis://127.0.0.1:{port}")).unwrap();
    let limit = Limit::requests(amount, Duration::from_secs(60));
    let builder = Quota::builder().limit(limit).shared(store).pool("wire");
    let (quota, driver) = builder.on_store_down(policy).build().unwrap();
    tokio::spawn(driver);
    quota
}

const WAIT: OnStoreDown = OnStoreDown::Wait {
    max: Duration::from_secs(5),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_has_gone_silent_is_replaced() {
    let Some(server) = Server::on_a_port(&[]) else {
        return;
    };
    let (proxy, port) = Proxy::before(server.port()).await;
    let quota = quota(port, 100, WAIT);
    drop(quota.acquire(Cost::request()).await.unwrap());
    proxy.freeze();
    let frozen = Instant::now();
    drop(quota.acquire(Cost::request()).await.unwrap());
    println!("a silent connection: granted after {:?}", frozen.elapsed());
    assert!(frozen.elapsed() < Duration::from_millis(900));
    let used = server_used(&quota).await;
    assert_eq!(used, 3, "each counts once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_answer_is_lost_is_made_again_and_done_once() {
    let Some(server) = Server::on_a_port(&[]) else {
        return;
    };
    let (proxy, port) = Proxy::before(server.port()).await;
    let quota = quota(port, 100, WAIT);
    drop(quota.acquire(Cost::request()).await.unwrap());
    for lost in 0..5 {
        proxy.cut();
        drop(quota.acquire(Cost::request()).await.unwrap());
        assert_eq!(server_used(&quota).await, 3 + 2 * lost, "each counts once");
    }
}

/// What the server counts, by a further request.
async fn server_used(quota: &Quota) -> u64 {
    drop(quota.acquire(Cost::request()).await.unwrap());
    quota.snapshot().limits[0].used
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_each_policy_does_what_it_says() {
    // Nobody listens there.
    let port = crate::server::free_port();
    let closed = quota(port, 100, OnStoreDown::FailClosed)
        .acquire(Cost::request())
        .await
        .unwrap_err();
    assert_eq!(closed.reason, Reason::Unavailable);
    drop(
        quota(port, 1, OnStoreDown::FailOpen)
            .acquire(Cost::request())
            .await
            .unwrap(),
    );
    let began = Instant::now();
    let waits = OnStoreDown::Wait {
        max: Duration::from_millis(400),
    };
    let waited = quota(port, 100, waits)
        .acquire(Cost::request())
        .await
        .unwrap_err();
    assert_eq!(waited.reason, Reason::Unavailable);
    assert!(
        (300..1_500).contains(&began.elapsed().as_millis()),
        "{:?}",
        began.elapsed()
    );
    // Nobody has said among how many the limit is divided.
    let unknown = quota(port, 100, OnStoreDown::LocalShare)
        .acquire(Cost::request())
        .await
        .unwrap_err();
    assert_eq!(unknown.reason, Reason::Unavailable);
    let store = RedisStore::connect(&format!("redis://127.0.0.1:{port}")).unwrap();
    let limit = Limit::requests(600, Duration::from_secs(6));
    let (quota, driver) = Quota::builder()
        .limit(limit)
        .shared(store)
        .pool("wire")
        .expected_processes(4)
        .build()
        .unwrap();
    tokio::spawn(driver);
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(2) {
        drop(quota.acquire(Cost::request()).await.unwrap());
        sent += 1;
    }
    println!("0.8 of a fourth of 100 a second: {sent} in 2 s");
    assert!((15..=42).contains(&sent), "{sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_at_any_moment_a_request_leaves_nothing_behind() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let limit = Limit::requests(50, Duration::from_secs(60));
    let (quota, driver) = Quota::builder()
        .limit(limit.clone())
        .shared(server.store())
        .pool("drops")
        .build()
        .unwrap();
    tokio::spawn(driver);
    for round in 0..200u64 {
        let asked = quota.acquire(Cost::request());
        // From before the call to after its answer.
        let span = Duration::from_micros(round * 10);
        match tokio::time::timeout(span, asked).await {
            Ok(Ok(permit)) => permit.cancel(),
            // On a busy machine what was dropped before is on its way back still.
            Ok(Err(_)) => seconds(0.05).await,
            Err(_) => {}
        }
    }
    seconds(0.3).await;
    drop(quota);
    seconds(0.2).await;
    let (fresh, driver) = Quota::builder()
        .limit(limit)
        .shared(server.store())
        .pool("drops")
        .build()
        .unwrap();
    tokio::spawn(driver);
    drop(fresh.acquire(Cost::request()).await.unwrap());
    assert_eq!(
        fresh.snapshot().limits[0].used,
        1,
        "all the others are back"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_request_among_small_ones_leaves_within_two_windows() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let window = Duration::from_secs(3);
    let limit = Limit::tokens(400, window);
    let make = || {
        let builder = Quota::builder()
            .limit(limit.clone())
            .shared(server.store())
            .pool("large");
        let (quota, driver) = builder.build().unwrap();
        tokio::spawn(driver);
        quota
    };
    let small: Vec<_> = (0..4).map(|_| make()).collect();
    let tasks: Vec<_> = small
        .iter()
        .flat_map(|quota| vec![quota.clone(); 6])
        .map(|quota| {
            tokio::spawn(async move {
                while let Ok(permit) = quota.acquire(Cost::tokens(4)).await {
                    drop(permit);
                }
            })
        })
        .collect();
    seconds(1.0).await;
    let (large, began) = (make(), Instant::now());
    drop(large.acquire(Cost::tokens(100)).await.unwrap());
    println!(
        "25 % of the limit among small ones: left after {:?}",
        began.elapsed()
    );
    assert!(began.elapsed() < window * 2);
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_have_pools_of_their_own_and_are_not_in_the_server() {
    use std::convert::Infallible;

    use tower::{Layer, ServiceExt, service_fn};
    use tower_quota::RateLimitLayer;

    let Some(server) = Server::start(&[]) else {
        return;
    };
    let process = || {
        let limit = Limit::requests(2, Duration::from_secs(60)).rolling();
        let builder = Quota::builder()
            .limit(limit)
            .max_wait(Duration::from_secs(1));
        let (quota, driver) = builder
            .shared(server.store())
            .pool("tenants")
            .build()
            .unwrap();
        tokio::spawn(driver);
        RateLimitLayer::new(quota)
            .keyed(|key: &&'static str| *key)
            .opaque()
            .layer(service_fn(async |key: &'static str| {
                Ok::<_, Infallible>(key)
            }))
    };
    let (one, other) = (process(), process());
    for key in ["sk-secret-a", "sk-secret-b"] {
        one.clone().oneshot(key).await.unwrap();
        other.clone().oneshot(key).await.unwrap();
        let refused = one.clone().oneshot(key).await.unwrap_err();
        assert!(tower_quota::Rejected::find(refused.as_ref()).is_some());
    }
    let keys = format!("{:?}", server.command(&["KEYS", "*"]));
    assert!(
        !keys.contains("secret") && keys.matches(":q").count() == 2,
        "{keys}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_are_fixed_to_a_calendar_begin_together() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let limit = Limit::requests(5, Duration::from_secs(2)).fixed(tower_quota::Anchor::utc());
    let make = || {
        let (quota, driver) = Quota::builder()
            .limit(limit.clone())
            .shared(server.store())
            .pool("fixed")
            .build()
            .unwrap();
        tokio::spawn(driver);
        quota
    };
    let (one, other) = (make(), make());
    let mut windows = std::collections::BTreeMap::<u64, u32>::new();
    for at in 0..15 {
        let quota = if at % 2 == 0 { &one } else { &other };
        drop(quota.acquire(Cost::request()).await.unwrap());
        let now = std::time::SystemTime::now()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        *windows.entry(now.as_secs() / 2).or_default() += 1;
    }
    assert!(
        windows.values().all(|sent| *sent <= 5) && windows.len() <= 4,
        "{windows:?}"
    );
}

#[cfg(feature = "redis-tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_a_server_is_trusted_by_its_certificate_only() {
    let dir = std::env::temp_dir().join(format!("tower-quota-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")])
        .stderr(std::process::Stdio::null())
        .status();
    assert!(
        made.is_ok_and(|made| made.success()),
        "openssl makes the certificate"
    );
    let port = crate::server::free_port();
    let options = [
        ["--tls-port", &port.to_string()],
        ["--tls-cert-file", &file("cert.pem")],
        ["--tls-key-file", &file("key.pem")],
        ["--tls-ca-cert-file", &file("cert.pem")],
        ["--tls-auth-clients", "no"],
    ];
    let Some(server) = Server::start(&options.concat()) else {
        return;
    };
    let store = || RedisStore::connect(&format!("rediss://127.0.0.1:{port}")).unwrap();
    let certificate = std::fs::read(dir.join("cert.pem")).unwrap();
    let _ = std::fs::remove_dir_all(&dir);
    for (store, trusted) in [(store().trust(certificate), true), (store(), false)] {
        let limit = Limit::requests(5, Duration::from_secs(60));
        let builder = Quota::builder().limit(limit).shared(store).pool("tls");
        let (quota, driver) = builder
            .on_store_down(OnStoreDown::FailClosed)
            .build()
            .unwrap();
        tokio::spawn(driver);
        assert_eq!(quota.acquire(Cost::request()).await.is_ok(), trusted);
    }
    drop(server);
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn both_edges_of_an_outage_are_told() {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let (lines, recorder) = (
        Lines::default(),
        metrics_util::debugging::DebuggingRecorder::new(),
    );
    let (writer, snapshotter) = (lines.clone(), recorder.snapshotter());
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // With one alone, whoever comes by an event first in another thread, and listens to nobody, turns it off for all.
    let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _events = tracing::subscriber::set_default(subscriber);
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let limit = Limit::requests(100, Duration::from_secs(60));
    let builder = Quota::builder()
        .limit(limit)
        .shared(server.store())
        .pool("told");
    let (quota, driver) = builder
        .on_store_down(OnStoreDown::FailClosed)
        .build()
        .unwrap();
    tokio::spawn(driver);
    drop(quota.acquire(Cost::request()).await.unwrap());
    server.kill();
    quota.acquire(Cost::request()).await.unwrap_err();
    server.run();
    seconds(0.4).await;
    while quota.acquire(Cost::request()).await.is_err() {
        seconds(0.05).await;
    }
    let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for event in [
        "WARN tower_quota::store: the shared store is away pool=\"told\"",
        "INFO tower_quota::store: the shared store is back",
    ] {
        assert_eq!(told.matches(event).count(), 1, "{event} in {told}");
    }
    let snapshot = snapshotter.snapshot().into_vec();
    let names: Vec<_> = snapshot.iter().map(|(key, ..)| key.key().name()).collect();
    assert!(
        names.contains(&"tower_quota_store_up")
            && names.contains(&"tower_quota_store_failures_total")
    );
}
