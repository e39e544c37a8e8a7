//! Several clients on one organisation's limits, each unaware of the others but for what the provider says is left.

use std::time::Duration;

use tokio::time::sleep;
use tower::Layer;
use tower_quota::{
    Limit, Quota, Settle, TokenBudgetLayer,
    quota::QuotaBuilder,
    testing::{Outcome, Report, Shape},
};

use super::utilisation::{MINUTE, SHAPES, TOKENS, call_on, cost, provider};

/// Clients, each with a quota of its own, that saturate one provider together.
/// The report, and how many of those were refused that came after each client's first headers.
async fn share(shape: Shape, quotas: Vec<Quota>, minutes: u32) -> (Report, f64) {
    let provider = provider(shape).build().unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for (n, quota) in quotas.into_iter().enumerate() {
        let service = TokenBudgetLayer::new(quota)
            .cost(cost)
            .settle(Settle::Keep)
            .layer(provider.service());
        clients.spawn(async move {
            sleep(Duration::from_secs(7) * n as u32).await;
            call_on(service, 150, MINUTE * minutes, MINUTE / 2).await;
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let arrivals = provider.arrivals();
    let first = arrivals[0].at;
    let later = || (arrivals.iter()).filter(|a| a.at - first > Duration::from_secs(12));
    let refused = later().filter(|a| a.outcome != Outcome::Admitted).count();
    (provider.report(), refused as f64 / later().count() as f64)
}

#[tokio::test(start_paused = true)]
async fn two_clients_unaware_of_each_other_are_hardly_refused_and_use_90_percent() {
    let requests = || Limit::requests_per_minute(500);
    let tokens = || Limit::tokens_per_minute(TOKENS);
    let patient = |builder: QuotaBuilder| builder.max_wait(MINUTE * 60).build().unwrap();
    for shape in SHAPES {
        let both = || patient(Quota::builder().limit(requests()).limit(tokens()));
        let buckets = || {
            let builder = Quota::builder().limit(requests().bucket());
            patient(builder.limit(tokens().bucket()))
        };
        // Each knows one of the two limits, and takes the provider's word for the other.
        let halves = [
            patient(Quota::builder().limit(requests()).adopt()),
            patient(Quota::builder().limit(tokens()).adopt()),
        ];
        let nothing = || patient(Quota::discover());
        for (name, quotas) in [
            ("both limits", vec![both(), both()]),
            ("half of the limits", halves.into()),
            ("no limits", vec![nothing(), nothing()]),
            ("buckets", vec![buckets(), buckets()]),
        ] {
            // Even alone a bucket doesn't fit into windows.
            if name == "buckets" && shape != Shape::Bucket {
                continue;
            }
            let (report, refused) = share(shape, quotas, 102).await;
            let used = report.utilisation();
            println!("{shape:?}, {name}: {refused:.4} refused, {used:.4} used");
            assert!(refused <= 0.01, "{shape:?}, {name}: {refused} refused");
            assert!(used >= 0.9, "{shape:?}, {name}: {used} used");
        }
    }
}
