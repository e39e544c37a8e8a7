//! What the command line says, and what of it makes sense.

use std::net::SocketAddr;

use clap::Parser;
use reqwest::Url;

use super::{
    endpoint::{Endpoint, Limits},
    tenants::{TIERS, Tenant},
};

/// An OpenAI-compatible gateway: tenants with quotas of their own in front, two provider endpoints behind.
///
/// With no --upstream it runs in front of two providers in a box, with the tenants `free`, `pro` and `enterprise`, whose keys are
/// `sk-free`, `sk-pro` and `sk-enterprise`.
#[derive(Debug, Parser)]
#[command(name = "gateway")]
pub(crate) struct Args {
    /// Where it listens; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,

    /// Where the provider's API begins, like https://api.openai.com/v1
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// The provider's key
    #[arg(
        long,
        value_name = "KEY",
        env = "UPSTREAM_API_KEY",
        hide_env_values = true
    )]
    upstream_key: Option<String>,

    /// How many requests a minute each endpoint takes
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_minute: u64,

    /// How many tokens a minute each endpoint takes
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    tokens_per_minute: u64,

    /// Where requests go that the first endpoint can't serve [default: the first again, with --second-model]
    #[arg(long, value_name = "URL")]
    second: Option<String>,

    /// The second endpoint's key
    #[arg(
        long,
        value_name = "KEY",
        env = "SECOND_API_KEY",
        hide_env_values = true
    )]
    second_key: Option<String>,

    /// The model that requests are for there [default: the one that was asked for]
    #[arg(long, value_name = "NAME")]
    second_model: Option<String>,

    /// A tenant, as NAME:KEY:TIER; may be given many times
    #[arg(long = "tenant", value_name = "NAME:KEY:TIER", value_parser = Tenant::parse)]
    tenants: Vec<(String, Tenant)>,
}

/// What to do, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) first: Endpoint,
    pub(crate) second: Option<Endpoint>,
    /// By their keys.
    pub(crate) tenants: Vec<(String, Tenant)>,
}

impl Args {
    pub(crate) const fn is_demo(&self) -> bool {
        self.upstream.is_none()
    }

    /// The settings of a gateway in front of real providers.
    pub(crate) fn check(self) -> Result<Settings, String> {
        if self.tenants.is_empty() {
            return Err("--tenant is missing: nobody would be let in".to_owned());
        }
        let limits = Limits {
            requests: self.requests_per_minute,
            tokens: self.tokens_per_minute,
        };
        let first = Endpoint {
            base: url("--upstream", self.upstream.as_deref().unwrap_or_default())?,
            key: self.upstream_key,
            model: None,
            limits,
        };
        let second = match (&self.second, &self.second_model) {
            (None, None) => None,
            (base, model) => Some(Endpoint {
                base: match base {
                    Some(base) => url("--second", base)?,
                    None => first.base.clone(),
                },
                key: match base {
                    Some(_) => self.second_key,
                    None => first.key.clone(),
                },
                model: model.clone(),
                limits,
            }),
        };
        Ok(Settings {
            first,
            second,
            tenants: self.tenants,
        })
    }

    /// The settings in front of the two providers in a box. What makes sense with a provider of one's own alone is refused.
    pub(crate) fn check_demo(
        self,
        first: &str,
        second: &str,
        limits: Limits,
    ) -> Result<Settings, String> {
        for (flag, given) in [
            ("--second", self.second.is_some()),
            ("--second-model", self.second_model.is_some()),
            ("--tenant", !self.tenants.is_empty()),
        ] {
            if given {
                return Err(format!("{flag} needs --upstream"));
            }
        }
        let endpoint = |base, model: Option<&str>| {
            Ok::<_, String>(Endpoint {
                base: url("the provider in a box", base)?,
                key: None,
                model: model.map(str::to_owned),
                limits,
            })
        };
        let tenants = TIERS.map(|tier| (format!("sk-{}", tier.name), Tenant::new(tier.name, tier)));
        Ok(Settings {
            first: endpoint(first, None)?,
            second: Some(endpoint(second, Some("gpt-4.1-mini"))?),
            tenants: tenants.to_vec(),
        })
    }
}

fn url(flag: &str, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{flag} {text}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!(
            "{flag} {text}: must begin with http:// or https:// and name a host"
        ));
    }
    Ok(url)
}
