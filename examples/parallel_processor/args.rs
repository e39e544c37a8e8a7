//! What the command line says, and what of it makes sense.

use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use reqwest::Url;

use super::{
    files,
    values::{duration, limit},
};

/// Whose API the provider has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    /// OpenAI's, which many others speak: chat completions and embeddings.
    #[default]
    Openai,
    /// Anthropic's: messages.
    Anthropic,
}

impl Api {
    const fn base_url(self) -> &'static str {
        match self {
            Self::Openai => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
        }
    }

    const fn key_variable(self) -> &'static str {
        match self {
            Self::Openai => "OPENAI_API_KEY",
            Self::Anthropic => "ANTHROPIC_API_KEY",
        }
    }
}

/// Sends a file of requests to an LLM provider as fast as its limits allow, and never faster.
///
/// FILE holds one request body a line (JSON). Bodies with "messages" go to URL/chat/completions (to URL/messages with --api
/// anthropic), bodies with "input" to URL/embeddings; a field "metadata" is kept back and stands in the output. The output has one line per request, as they
/// finish: [request, response, metadata?], or [request, [errors], metadata?] where it failed.
///
/// Run it again with the same files to go on: what succeeded is never sent twice, what failed is tried again.
///
/// With no flags it works off a bundled file against a provider in a box, so that you see it work.
#[derive(Debug, Parser)]
#[command(
    name = "parallel_processor",
    after_help = "Exit status: 0 every line succeeded; 1 some failed, or the run ended early; 2 bad usage; 130 interrupted (Ctrl-C)."
)]
pub(crate) struct Args {
    /// The requests, one JSON body a line
    #[arg(long, value_name = "FILE")]
    pub(crate) requests: Option<PathBuf>,

    /// Where the answers go; an earlier run's output is continued
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Whose API the provider has
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    api: Api,

    /// Where the provider's API begins [default: https://api.openai.com/v1, or https://api.anthropic.com/v1]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// The API key; OPENAI_API_KEY or ANTHROPIC_API_KEY in the environment keeps it out of the process list
    #[arg(long, value_name = "KEY",
          value_parser = |key: &str| Ok::<_, Infallible>(ApiKey(key.trim().to_owned())))]
    api_key: Option<ApiKey>,

    /// How many requests the provider takes a minute [default: no limit of ours]
    #[arg(long, value_name = "N", value_parser = limit)]
    requests_per_minute: Option<u64>,

    /// How many tokens the provider takes a minute [default: no limit of ours]
    #[arg(long, value_name = "N", value_parser = limit)]
    tokens_per_minute: Option<u64>,

    /// How many tokens of prompts, where the provider limits these apart, as Anthropic does
    #[arg(long, value_name = "N", value_parser = limit)]
    input_tokens_per_minute: Option<u64>,

    /// How many tokens of answers
    #[arg(long, value_name = "N", value_parser = limit)]
    output_tokens_per_minute: Option<u64>,

    /// How long the provider's minute is, like 60s, 10s or 500ms [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    minute: Option<Duration>,

    /// How often a request is sent at most
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: u32,

    /// How many requests are on their way at the same time at most
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_in_flight: u32,

    /// The model that a request is sent to when its own model fails
    #[arg(long, value_name = "NAME")]
    fallback_model: Option<String>,

    /// Where the figures of the run go, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// Where every limit that a request hit goes, one JSON object a line
    #[arg(long, value_name = "FILE")]
    log_limits: Option<PathBuf>,

    /// Where a picture of the use against the limits over time goes
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Keeps the order of the input
    #[arg(long)]
    ordered: bool,

    /// Shows neither the progress nor the table at the end
    #[arg(long)]
    quiet: bool,
}

/// What to do, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) requests: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) api: Api,
    pub(crate) base_url: Url,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) limits: Limits,
    pub(crate) max_attempts: u32,
    pub(crate) max_in_flight: u32,
    pub(crate) fallback_model: Option<String>,
    pub(crate) summary: Option<PathBuf>,
    pub(crate) log_limits: Option<PathBuf>,
    pub(crate) plot: Option<PathBuf>,
    pub(crate) ordered: bool,
    pub(crate) quiet: bool,
}

/// What the provider takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) requests: Option<u64>,
    pub(crate) tokens: Option<u64>,
    /// Of prompts, and of answers, where these are limited apart.
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) minute: Duration,
}

/// A key that is never shown.
#[derive(Clone)]
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// The header that carries it; hidden from whoever prints headers.
    pub(crate) fn header(&self, api: Api) -> Result<(HeaderName, HeaderValue), String> {
        let (name, value) = match api {
            Api::Openai => (AUTHORIZATION, format!("Bearer {}", self.0)),
            Api::Anthropic => (HeaderName::from_static("x-api-key"), self.0.clone()),
        };
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| "--api-key holds characters that no header can carry".to_owned())?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// `text` without the key, for providers that repeat it in their answers.
    pub(crate) fn redact(&self, text: String) -> String {
        // A short key is nobody's secret, and would riddle the text.
        if self.0.len() < 8 || !text.contains(&self.0) {
            return text;
        }
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Args {
    /// What this program was called with. Ends it where that can't be understood.
    pub(crate) fn of_this_program() -> Self {
        Self::parse()
    }

    /// Whose API the provider is to have.
    pub(crate) const fn api(&self) -> Api {
        self.api
    }

    /// Whether the bundled file is to be run against the provider in a box.
    pub(crate) fn is_demo(&self) -> bool {
        self.requests.is_none()
    }

    /// The settings of a run against a real provider. `variable` is what the environment has: the key of another provider
    /// goes to nobody.
    pub(crate) fn check(
        mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings, String> {
        if self.api_key.is_none() {
            let key = variable(self.api.key_variable());
            self.api_key = key.map(|key| ApiKey(key.trim().to_owned()));
        }
        let Some(requests) = self.requests.clone() else {
            return Err("--requests is missing".to_owned());
        };
        let Some(output) = self.output.clone() else {
            return Err("--requests needs --output, the file that the answers go to".to_owned());
        };
        let base_url = parse_url(self.base_url.as_deref().unwrap_or(self.api.base_url()))?;
        if self.base_url.is_none() && self.api_key.as_ref().is_none_or(|key| key.0.is_empty()) {
            let variable = self.api.key_variable();
            return Err(format!("--api-key is missing: give it, or set {variable}"));
        }
        self.settle(requests, output, base_url, Duration::from_secs(60))
    }

    /// The settings of a run of the bundled file. What makes sense with a file and a provider of one's own alone is refused.
    pub(crate) fn check_demo(
        self,
        requests: PathBuf,
        output: PathBuf,
        base_url: &str,
        limits: Limits,
    ) -> Result<Settings, String> {
        for (flag, given) in [
            ("--output", self.output.is_some()),
            // A key of the environment is nobody's mistake.
            ("--api-key", self.api_key.is_some()),
            ("--fallback-model", self.fallback_model.is_some()),
            ("--base-url", self.base_url.is_some()),
            ("--requests-per-minute", self.requests_per_minute.is_some()),
            ("--tokens-per-minute", self.tokens_per_minute.is_some()),
            (
                "--input-tokens-per-minute",
                self.input_tokens_per_minute.is_some(),
            ),
            (
                "--output-tokens-per-minute",
                self.output_tokens_per_minute.is_some(),
            ),
            ("--minute", self.minute.is_some()),
        ] {
            if given {
                return Err(format!(
                    "{flag} needs --requests; without it the bundled file runs against a provider in a box"
                ));
            }
        }
        let mut settings = self.settle(requests, output, parse_url(base_url)?, limits.minute)?;
        settings.limits = limits;
        Ok(settings)
    }

    fn settle(
        self,
        requests: PathBuf,
        output: PathBuf,
        base_url: Url,
        minute: Duration,
    ) -> Result<Settings, String> {
        let api_key = self.api_key.filter(|key| !key.0.is_empty());
        if let Some(key) = &api_key {
            key.header(self.api)?;
        }
        if self.fallback_model.as_deref().is_some_and(str::is_empty) {
            return Err("--fallback-model is empty".to_owned());
        }
        files::readable("--requests", &requests)?;
        let more = [
            ("--summary", &self.summary),
            ("--log-limits", &self.log_limits),
            ("--plot", &self.plot),
        ];
        let more = more.map(|(flag, path)| path.as_deref().map(|path| (flag, path)));
        let read: [(&str, &Path); 1] = [("--requests", &requests)];
        let written: Vec<_> = [("--output", &*output)]
            .into_iter()
            .chain(more.into_iter().flatten())
            .collect();
        files::all_distinct(&[&read, &*written].concat())?;
        for (flag, path) in written {
            files::writable(flag, path)?;
        }
        Ok(Settings {
            requests,
            output,
            api: self.api,
            base_url,
            api_key,
            limits: Limits {
                requests: self.requests_per_minute,
                tokens: self.tokens_per_minute,
                input: self.input_tokens_per_minute,
                output: self.output_tokens_per_minute,
                minute: self.minute.unwrap_or(minute),
            },
            max_attempts: self.max_attempts,
            max_in_flight: self.max_in_flight,
            fallback_model: self.fallback_model,
            summary: self.summary,
            log_limits: self.log_limits,
            plot: self.plot,
            ordered: self.ordered,
            quiet: self.quiet,
        })
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    const FORM: &str = "--base-url must begin with http:// or https:// and name a host";
    let url = Url::parse(text).map_err(|error| format!("{FORM}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(FORM.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("--base-url holds a name or a password; use --api-key".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_shows_nowhere() {
        let key = ApiKey("sk-very-secret".to_owned());
        assert_eq!(format!("{key:?}"), "***");
        for api in [Api::Openai, Api::Anthropic] {
            assert!(!format!("{:?}", key.header(api)).contains("secret"));
        }
        assert_eq!(
            key.redact("wrong key: sk-very-secret.".to_owned()),
            "wrong key: ***."
        );
    }

    #[test]
    fn a_base_url_is_http_and_carries_no_password() {
        assert!(parse_url("http://127.0.0.1:8080/v1").is_ok());
        for bad in [
            "",
            "api.openai.com/v1",
            "ftp://x/",
            "http://",
            "https://user:word@host/v1",
        ] {
            assert!(parse_url(bad).is_err(), "{bad:?}");
        }
        for bad in ["notaurl", "localhost:8080", "ftp://x/"] {
            let told = parse_url(bad).unwrap_err();
            assert!(
                told.contains("must begin with http:// or https://"),
                "{told}"
            );
        }
    }

    fn args(flags: &[&str]) -> Args {
        Args::parse_from(["parallel_processor"].iter().chain(flags))
    }

    fn demo(args: Args) -> Result<Settings, String> {
        let folder = std::env::temp_dir().join(format!("tower-quota-args-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let requests = folder.join("requests.jsonl");
        fs::write(&requests, "{}\n").unwrap();
        let limits = Limits {
            requests: None,
            tokens: None,
            input: None,
            output: None,
            minute: Duration::from_secs(5),
        };
        let output = folder.join("answers.jsonl");
        let settings = args.check_demo(requests, output, "http://127.0.0.1:9", limits);
        fs::remove_dir_all(&folder).unwrap();
        settings
    }

    #[test]
    fn the_demonstration_takes_nothing_that_is_for_a_run_of_ones_own() {
        for flags in [
            ["--output", "precious.jsonl"],
            ["--api-key", "sk-very-secret"],
            ["--fallback-model", "small"],
            ["--base-url", "http://127.0.0.1:9"],
            ["--requests-per-minute", "5"],
            ["--tokens-per-minute", "5"],
            ["--minute", "5s"],
        ] {
            let told = demo(args(&flags)).unwrap_err();
            assert!(
                told.starts_with(&format!("{} needs --requests", flags[0])),
                "{told}"
            );
            assert!(!told.contains("secret"), "{told}");
        }
        assert!(demo(args(&[])).is_ok());
    }

    #[test]
    fn each_provider_is_told_its_own_key_alone() {
        let folder = super::super::testing::Folder::new();
        let requests = folder.file("in.jsonl", "{}\n").display().to_string();
        let output = folder.file("out.jsonl", "").display().to_string();
        let settings = |flags: &[&str]| {
            let files = ["--requests", &requests, "--output", &output];
            args(&[&files, flags].concat()).check(|name| Some(format!("{name}\n")))
        };
        for (flags, key, url) in [
            (
                &[][..],
                ("authorization", "Bearer OPENAI_API_KEY"),
                "https://api.openai.com/v1",
            ),
            (
                &["--api", "anthropic"],
                ("x-api-key", "ANTHROPIC_API_KEY"),
                "https://api.anthropic.com/v1",
            ),
            (
                &["--api", "anthropic", "--api-key", "mine"],
                ("x-api-key", "mine"),
                "https://api.anthropic.com/v1",
            ),
        ] {
            let settings = settings(flags).unwrap();
            let (name, value) = settings.api_key.unwrap().header(settings.api).unwrap();
            assert_eq!((name.as_str(), value.to_str().unwrap()), key);
            assert_eq!(settings.base_url.as_str(), url);
        }
        let files = [
            "--requests",
            &requests,
            "--output",
            &output,
            "--api",
            "anthropic",
        ];
        let told = args(&files).check(|_| None).unwrap_err();
        assert!(told.ends_with("set ANTHROPIC_API_KEY"), "{told}");
    }
}
