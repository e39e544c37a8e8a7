//! A real provider, or one in a box.

use std::{env, fmt, io};

use http::{HeaderName, HeaderValue, Request, Uri, header};

use super::{ProviderBox, ProviderBuilder, Report};

/// The provider that the environment names, or one in a box where it names none: for examples and smoke tests, which then
/// run without a key.
///
/// | | key | address |
/// |---|---|---|
/// | [`openai`](Self::openai) | `OPENAI_API_KEY` | `OPENAI_BASE_URL`, or `https://api.openai.com/v1` |
/// | [`anthropic`](Self::anthropic) | `ANTHROPIC_API_KEY` | `ANTHROPIC_BASE_URL`, or `https://api.anthropic.com`; `/v1` is added |
///
/// An address alone is enough, for servers that want no key. What is empty counts as not set.
///
/// ```
/// use tower_quota::testing::{ProviderBox, Upstream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let upstream = Upstream::openai(ProviderBox::openai().requests_per_minute(60)).await?;
/// let body = r#"{"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]}"#;
/// let request: http::Request<String> = upstream.post("/chat/completions", body);
/// assert!(request.headers()["authorization"].is_sensitive());
/// if let Some(report) = upstream.report() {
///     println!("no key is set; the box has seen {} requests", report.admitted);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Upstream {
    base_url: String,
    key: String,
    auth: (HeaderName, HeaderValue),
    // What every request says beside that.
    version: Option<(HeaderName, HeaderValue)>,
    provider: Option<ProviderBox>,
}

/// What a provider's settings are called, and where it is.
struct Names {
    key: &'static str,
    base_url: &'static str,
    default: &'static str,
    // The way from the address to the API, where the address is told without it.
    below: &'static str,
}

const OPENAI: Names = Names {
    key: "OPENAI_API_KEY",
    base_url: "OPENAI_BASE_URL",
    default: "https://api.openai.com/v1",
    below: "",
};

const ANTHROPIC: Names = Names {
    key: "ANTHROPIC_API_KEY",
    base_url: "ANTHROPIC_BASE_URL",
    default: "https://api.anthropic.com",
    below: "/v1",
};

/// The key of who has none: servers that look at none don't mind it.
const NO_KEY: &str = "none";

impl Upstream {
    /// OpenAI, or whatever speaks like it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where a variable can't be used, by its name; and whatever keeps the box
    /// from starting.
    ///
    /// # Panics
    ///
    /// Where the box starts outside a tokio runtime with I/O.
    pub async fn openai(otherwise: ProviderBuilder) -> io::Result<Self> {
        let (base_url, key, provider) = find(&OPENAI, variable, otherwise).await?;
        let bearer = format!("Bearer {key}");
        Ok(Self {
            auth: (header::AUTHORIZATION, secret(OPENAI.key, &bearer)?),
            version: None,
            base_url,
            key,
            provider,
        })
    }

    /// Anthropic.
    ///
    /// # Errors
    ///
    /// As [`openai`](Self::openai) has it.
    ///
    /// # Panics
    ///
    /// As [`openai`](Self::openai) does.
    pub async fn anthropic(otherwise: ProviderBuilder) -> io::Result<Self> {
        let (base_url, key, provider) = find(&ANTHROPIC, variable, otherwise).await?;
        let header = HeaderName::from_static;
        Ok(Self {
            auth: (header("x-api-key"), secret(ANTHROPIC.key, &key)?),
            version: Some((
                header("anthropic-version"),
                HeaderValue::from_static("2023-06-01"),
            )),
            base_url,
            key,
            provider,
        })
    }

    /// What API clients are told, `/v1` and all; without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The key; any will do for a box.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The box, where no real provider is named.
    pub const fn in_a_box(&self) -> Option<&ProviderBox> {
        self.provider.as_ref()
    }

    /// What the box saw so far.
    pub fn report(&self) -> Option<Report> {
        self.provider.as_ref().map(ProviderBox::report)
    }

    /// A POST of JSON to what stands below the address, such as `/chat/completions`, with the key.
    ///
    /// # Panics
    ///
    /// If this can't stand in a URI.
    pub fn post<B>(&self, path: &str, json: impl Into<B>) -> Request<B> {
        let json = json.into();
        let request = Request::post(format!("{}{path}", self.base_url));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.sign(request).body(json).expect("a path")
    }

    /// The same as reqwest has it.
    ///
    /// # Panics
    ///
    /// If this can't stand in a URL.
    #[cfg(feature = "reqwest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
    pub fn request(&self, path: &str, json: impl Into<reqwest::Body>) -> reqwest::Request {
        let request = self.post::<reqwest::Body>(path, json);
        request.try_into().expect("an absolute URL with a path")
    }

    /// A GET of what stands below the address, with the key.
    ///
    /// # Panics
    ///
    /// If this can't stand in a URI.
    pub fn get<B: Default>(&self, path: &str) -> Request<B> {
        let request = Request::get(format!("{}{path}", self.base_url));
        self.sign(request).body(B::default()).expect("a path")
    }

    /// A client that reaches it: past any proxy where it is in a box.
    ///
    /// # Errors
    ///
    /// Whatever keeps reqwest from building one.
    #[cfg(feature = "reqwest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
    pub fn client(&self) -> reqwest::Result<reqwest::Client> {
        let client = reqwest::Client::builder();
        match self.provider {
            Some(_) => client.no_proxy().build(),
            None => client.build(),
        }
    }

    /// Puts the key into a request.
    pub fn sign(&self, mut request: http::request::Builder) -> http::request::Builder {
        for (name, value) in std::iter::once(&self.auth).chain(&self.version) {
            request = request.header(name, value);
        }
        request
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

async fn find(
    names: &Names,
    variable: impl Fn(&str) -> Option<String>,
    otherwise: ProviderBuilder,
) -> io::Result<(String, String, Option<ProviderBox>)> {
    let told = |name| variable(name).filter(|value| !value.trim().is_empty());
    let (base_url, key) = (told(names.base_url), told(names.key));
    if base_url.is_none() && key.is_none() {
        let provider = otherwise.start().await?;
        return Ok((provider.base_url(), NO_KEY.to_owned(), Some(provider)));
    }
    let base_url = base_url.unwrap_or_else(|| names.default.to_owned());
    let mut base_url = base_url.trim().trim_end_matches('/').to_owned();
    if !base_url.ends_with(names.below) {
        base_url.push_str(names.below);
    }
    let uri = base_url.parse::<Uri>().ok();
    if !uri.is_some_and(|uri| uri.scheme().is_some() && uri.host().is_some()) {
        return Err(invalid(format!(
            "{}: `{base_url}` isn't an absolute URL",
            names.base_url
        )));
    }
    let key = key.as_deref().map_or(NO_KEY, str::trim);
    Ok((base_url, key.to_owned(), None))
}

fn secret(name: &str, value: &str) -> io::Result<HeaderValue> {
    let value = HeaderValue::from_str(value);
    let mut value = value.map_err(|_| invalid(format!("{name} can't stand in a header")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

// Without the key.
impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("base_url", &self.base_url)
            .field("in_a_box", &self.provider.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(
        names: &Names,
        set: &[(&str, &str)],
    ) -> io::Result<(String, String, Option<ProviderBox>)> {
        let variable = |name: &str| {
            let set = set.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| (*value).to_owned())
        };
        find(names, variable, ProviderBox::openai()).await
    }

    #[tokio::test]
    async fn without_a_key_and_an_address_there_is_a_box() {
        for set in [
            &[][..],
            &[("OPENAI_API_KEY", " "), ("OPENAI_BASE_URL", "")],
            &[("ANTHROPIC_API_KEY", "sk-other")],
        ] {
            let (base_url, key, provider) = found(&OPENAI, set).await.unwrap();
            assert_eq!(base_url, provider.unwrap().base_url());
            assert_eq!(key, NO_KEY);
        }
    }

    #[tokio::test]
    async fn a_key_or_an_address_names_a_real_provider() {
        let openai = [
            (
                &[("OPENAI_API_KEY", "sk-1\n")][..],
                "https://api.openai.com/v1",
                "sk-1",
            ),
            (
                &[("OPENAI_BASE_URL", "http://localhost:1/v1/")],
                "http://localhost:1/v1",
                NO_KEY,
            ),
        ];
        for (set, address, wanted) in openai {
            let (base_url, key, provider) = found(&OPENAI, set).await.unwrap();
            assert_eq!((&*base_url, &*key), (address, wanted));
            assert!(provider.is_none());
        }
        for (address, wanted) in [
            ("", "https://api.anthropic.com/v1"),
            ("http://gateway/a", "http://gateway/a/v1"),
            ("http://gateway/v1", "http://gateway/v1"),
        ] {
            let set = [("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", address)];
            assert_eq!(found(&ANTHROPIC, &set).await.unwrap().0, wanted);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_refused_by_its_name_and_no_key_is_shown() {
        for address in ["api.openai.com", "/v1", "http://", "two words"] {
            let error = found(&OPENAI, &[("OPENAI_BASE_URL", address)])
                .await
                .unwrap_err();
            assert!(error.to_string().starts_with("OPENAI_BASE_URL: "));
        }
        let error = secret("OPENAI_API_KEY", "sk\u{1}1").unwrap_err();
        assert_eq!(error.to_string(), "OPENAI_API_KEY can't stand in a header");
        let upstream = Upstream {
            base_url: "http://host/v1".to_owned(),
            key: "sk-secret".to_owned(),
            auth: (
                header::AUTHORIZATION,
                secret("key", "Bearer sk-secret").unwrap(),
            ),
            version: None,
            provider: None,
        };
        let request: Request<String> = upstream.post("/embeddings", "{}");
        assert_eq!(request.uri(), "http://host/v1/embeddings");
        assert_eq!(request.headers()["authorization"], "Bearer sk-secret");
        let shown = format!("{upstream:?}{request:?}");
        assert!(!shown.contains("sk-secret"), "{shown}");
    }
}
