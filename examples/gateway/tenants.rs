//! Who may ask, and how much.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::AUTHORIZATION};
use tower_quota::{Limit, Quota, quota::QuotaBuilder};

use super::errors;

/// What a tenant of one kind may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    requests_per_minute: u64,
    tokens_per_minute: u64,
}

/// From the smallest to the largest.
pub(crate) const TIERS: [Tier; 3] = [
    Tier {
        name: "free",
        requests_per_minute: 5,
        tokens_per_minute: 5_000,
    },
    Tier {
        name: "pro",
        requests_per_minute: 60,
        tokens_per_minute: 60_000,
    },
    Tier {
        name: "enterprise",
        requests_per_minute: 300,
        tokens_per_minute: 100_000,
    },
];

impl Tier {
    /// One tenant's own, unspent.
    pub(crate) fn quota(self) -> Quota {
        let limits = [
            Limit::requests_per_minute(self.requests_per_minute),
            Limit::tokens_per_minute(self.tokens_per_minute),
        ];
        // They are counted here: nothing is under way to somebody who counts later.
        let limits = limits.map(|limit| limit.bucket().transit(Duration::ZERO));
        let quota = limits
            .into_iter()
            .fold(Quota::builder(), QuotaBuilder::limit);
        quota.build().expect("the tiers make sense")
    }
}

/// Somebody who may ask.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    name: Arc<str>,
    tier: Tier,
}

// A tenant is its name: whoever moves to another tier keeps its count until its quota is made anew.
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

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tier {
            name,
            requests_per_minute,
            tokens_per_minute,
        } = self.tier;
        write!(
            f,
            "{name}: {requests_per_minute} requests and {tokens_per_minute} tokens a minute"
        )
    }
}

impl Tenant {
    pub(crate) fn new(name: &str, tier: Tier) -> Self {
        Self {
            name: name.into(),
            tier,
        }
    }

    /// `NAME:KEY:TIER`, as a key and its tenant.
    pub(crate) fn parse(text: &str) -> Result<(String, Self), String> {
        let parts: Vec<_> = text.split(':').collect();
        let [name, key, tier] = parts[..] else {
            // What was given isn't repeated: it holds a key.
            return Err("say NAME:KEY:TIER".to_owned());
        };
        if name.is_empty() || key.is_empty() {
            return Err("the name and the key can't be empty".to_owned());
        }
        let found = TIERS.into_iter().find(|known| known.name == tier);
        let tier = found.ok_or_else(|| {
            let names = TIERS.map(|tier| tier.name).join(", ");
            format!("there is no tier {tier:?}; take one of {names}")
        })?;
        Ok((key.to_owned(), Self::new(name, tier)))
    }

    /// Its own quota, unspent.
    pub(crate) fn quota(&self) -> Quota {
        self.tier.quota()
    }
}

/// Everybody who may ask, by their keys.
#[derive(Clone)]
pub(crate) struct Tenants(Arc<HashMap<String, Tenant>>);

impl Tenants {
    pub(crate) fn new(tenants: &[(String, Tenant)]) -> Self {
        Self(Arc::new(tenants.iter().cloned().collect()))
    }

    fn find(&self, request: &Request) -> Option<&Tenant> {
        let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, key) = header.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer")).then(|| self.0.get(key.trim()))?
    }
}

/// Lets in whoever has a key, and notes who it is.
pub(crate) async fn admit(
    State(tenants): State<Tenants>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(tenant) = tenants.find(&request).cloned() else {
        let problem = "the API key isn't known here";
        let response = errors::error(
            StatusCode::UNAUTHORIZED,
            "invalid_request_error",
            "invalid_api_key",
            problem,
        );
        return response.map(Body::from).into_response();
    };
    request.extensions_mut().insert(tenant);
    next.run(request).await
}

/// Whose request it is.
pub(crate) fn of<B>(request: &http::Request<B>) -> Option<Tenant> {
    request.extensions().get::<Tenant>().cloned()
}
