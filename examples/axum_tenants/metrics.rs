//! What Prometheus reads.

use axum::{extract::State, response::IntoResponse};
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tower_quota::{Quota, observe::describe_metrics};

/// Makes the recorder that all metrics of this process go to.
pub(crate) fn install() -> Result<PrometheusHandle, String> {
    const SECONDS: [f64; 8] = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
    const TOKENS: [f64; 6] = [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0];
    let buckets = |name: &str| Matcher::Full(format!("tower_quota_{name}"));
    let installed = PrometheusBuilder::new()
        .set_buckets_for_metric(buckets("wait_seconds"), &SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(buckets("tokens"), &TOKENS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| error.to_string())?;
    describe_metrics();
    Ok(installed)
}

/// In Prometheus' text format.
pub(crate) async fn render(
    State((metrics, shared)): State<(PrometheusHandle, Quota)>,
) -> impl IntoResponse {
    // Gauges as of now, not as of the last request.
    shared.publish_metrics();
    metrics.run_upkeep();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], metrics.render())
}
