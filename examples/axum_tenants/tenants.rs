//! Who may ask, and how much.

use std::time::Duration;

use axum::{
    Json,
    extract::{Extension, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use tower_quota::{
    Anchor, Limit, Priority,
    quota::{QuotaBuilder, Snapshot},
};

use super::books::Books;

/// What a tenant of one kind may use.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    pub(crate) priority: Priority,
    requests_per_minute: u64,
    tokens_per_minute: u64,
    requests_per_day: u64,
}

/// From the smallest to the largest.
pub(crate) static TIERS: [Tier; 3] = [
    Tier {
        name: "free",
        priority: Priority::Background,
        requests_per_minute: 5,
        tokens_per_minute: 5_000,
        requests_per_day: 100,
    },
    Tier {
        name: "pro",
        priority: Priority::Standard,
        requests_per_minute: 60,
        tokens_per_minute: 60_000,
        requests_per_day: 10_000,
    },
    Tier {
        name: "enterprise",
        priority: Priority::Interactive,
        requests_per_minute: 600,
        tokens_per_minute: 1_000_000,
        requests_per_day: 500_000,
    },
];

impl Tier {
    /// One tenant's own quota.
    pub(crate) fn builder(&self) -> QuotaBuilder {
        let limits = [
            Limit::requests_per_minute(self.requests_per_minute).bucket(),
            Limit::tokens_per_minute(self.tokens_per_minute).bucket(),
            Limit::requests_per_day(self.requests_per_day).fixed(Anchor::utc()),
        ];
        // They are counted here: nothing is under way to somebody who counts later.
        let limits = limits.map(|limit| limit.transit(Duration::ZERO));
        let quota = tower_quota::Quota::builder().named(self.name);
        limits.into_iter().fold(quota, QuotaBuilder::limit)
    }
}

/// Somebody who may ask: a name, never a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: &'static str,
    pub(crate) tier: &'static Tier,
}

impl PartialEq for Tenant {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Tenant {}

impl std::hash::Hash for Tenant {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Their keys, which would be hashed in a database.
static TENANTS: [(&str, Tenant); 4] = [
    (
        "sk-free",
        Tenant {
            name: "fay",
            tier: &TIERS[0],
        },
    ),
    (
        "sk-free-too",
        Tenant {
            name: "fred",
            tier: &TIERS[0],
        },
    ),
    (
        "sk-pro",
        Tenant {
            name: "paula",
            tier: &TIERS[1],
        },
    ),
    (
        "sk-enterprise",
        Tenant {
            name: "erin",
            tier: &TIERS[2],
        },
    ),
];

/// Lets in whoever has a key, and notes who it is.
pub(crate) async fn admit(mut request: Request, next: Next) -> Response {
    let key = request.headers().get("x-api-key");
    let key = key.and_then(|key| key.to_str().ok());
    let found = TENANTS.iter().find(|(known, _)| Some(*known) == key);
    let Some((_, tenant)) = found else {
        return (StatusCode::UNAUTHORIZED, "say who you are in x-api-key\n").into_response();
    };
    request.extensions_mut().insert(*tenant);
    next.run(request).await
}

/// Whose request it is, once it was let in.
pub(crate) fn of<B>(request: &http::Request<B>) -> Tenant {
    let tenant = request.extensions().get::<Tenant>().copied();
    tenant.expect("nobody is let in without")
}

/// What a tenant has used, as JSON.
pub(crate) async fn usage(
    State(books): State<Books>,
    Extension(tenant): Extension<Tenant>,
) -> Json<Snapshot> {
    Json(books.quota(&tenant).snapshot())
}
