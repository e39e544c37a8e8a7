//! What the provider says when it doesn't serve: OpenAI's words, which other APIs put into envelopes of
//! their own.

use http::{Method, StatusCode};

/// What the provider has to say against a request.
#[derive(Clone, Debug)]
pub(super) struct Complaint {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) kind: &'static str,
    pub(super) param: Option<&'static str>,
    pub(super) code: Option<&'static str>,
}

impl Complaint {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            kind,
            param: None,
            code: None,
        }
    }

    fn invalid(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn unknown_path(method: &Method, path: &str) -> Self {
        Self::invalid(
            StatusCode::NOT_FOUND,
            format!("Invalid URL ({method} {path})"),
        )
    }

    pub(super) fn wrong_method(method: &Method, path: &str) -> Self {
        let hint = "(HINT: Perhaps you meant to use a different HTTP method?)";
        let message = format!("Not allowed to {method} on {path}. {hint}");
        Self::invalid(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_supported")
    }

    pub(super) fn not_json() -> Self {
        Self::invalid(
            StatusCode::BAD_REQUEST,
            "We could not parse the JSON body of your request. (HINT: This likely means you \
             aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, \
             but what was sent was not valid JSON.)",
        )
    }

    pub(super) fn no_model() -> Self {
        Self::invalid(
            StatusCode::BAD_REQUEST,
            "you must provide a model parameter",
        )
    }

    pub(super) fn missing(param: &'static str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self::invalid(StatusCode::BAD_REQUEST, message)
            .param(param)
            .code("missing_required_parameter")
    }

    pub(super) fn wrong(param: &'static str, wanted: &str) -> Self {
        let message = format!("Invalid type for '{param}': expected {wanted}.");
        Self::invalid(StatusCode::BAD_REQUEST, message)
            .param(param)
            .code("invalid_type")
    }

    /// No file or batch has this name.
    pub(super) fn nothing_there(kind: &str, id: &str) -> Self {
        let message = format!("No such {kind} object: {id}");
        Self::invalid(StatusCode::NOT_FOUND, message).param("id")
    }

    pub(super) fn no_key() -> Self {
        Self::invalid(
            StatusCode::UNAUTHORIZED,
            "You didn't provide an API key. You need to provide your API key in an \
             Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    }

    pub(super) fn wrong_key() -> Self {
        Self::invalid(
            StatusCode::UNAUTHORIZED,
            "Incorrect API key provided. You can find your API key at \
             https://platform.openai.com/account/api-keys.",
        )
        .code("invalid_api_key")
    }

    /// A dead model: one that doesn't exist, or that fails with another status.
    pub(super) fn dead_model(model: &str, status: StatusCode) -> Self {
        if status != StatusCode::NOT_FOUND {
            return Self::fault(status);
        }
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        Self::invalid(status, message).code("model_not_found")
    }

    /// A limit stands in the way.
    pub(super) fn limit(resource: &'static str, message: String) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, resource, message).code("rate_limit_exceeded")
    }

    pub(super) fn insufficient_quota() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details. \
             For more information on this error, read the docs: \
             https://platform.openai.com/docs/guides/error-codes/api-errors.",
        )
        .code("insufficient_quota")
    }

    /// The provider's own failure, with any status.
    pub(super) fn fault(status: StatusCode) -> Self {
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let message = "Our servers are currently overloaded. Please try again later.";
            Self::new(status, "service_unavailable_error", message).code("server_is_overloaded")
        } else {
            let message =
                "The server had an error while processing your request. Sorry about that!";
            Self::new(status, "server_error", message).code("server_error")
        }
    }
}
