//! What words and sentences of errors mean, as shapes: providers reword their messages, and their
//! codes are spelled in every way.

/// Parts of codes that mean money, whatever the status: waiting doesn't help.
pub(super) const MONEY: &[&str] = &[
    "insufficientquota",
    "exceededcurrentquota",
    "insufficientbalance",
    "insufficientcredit",
    "insufficientfunds",
    "creditbalance",
    "creditsexhausted",
    "outofcredits",
    "spendlimit",
    "spendinglimit",
    "spendingcap",
    "usagelimitexceeded",
    "usagelimitreached",
    "billing",
    "paymentrequired",
    "paymentinstrument",
    "arrearage",
    "freetieronly",
    "budgetexceeded",
    "tokenquotareached",
];

/// The same in prose, where there is no code or one that says something else.
pub(super) const MONEY_PROSE: &[&[&str]] = &[
    &["insufficient", "balance|credit|fund"],
    &["no credits left|no credits remaining|no credits available|has no credits|have no credits"],
    &["any credits|out of credits|all available credits|requires more credits"],
    &["credits are required"],
    &[
        "credit|balance|funds",
        "depleted|exhausted|used up|run out|too low|not enough",
    ],
    &["credit limit|included credits", "reached|exceeded"],
    &[
        "spend |spend-|spending",
        "limit|cap|threshold",
        "reached|exceeded|hit|crossed|monthly",
    ],
    &[
        "monthly|weekly",
        "usage|limit|quota|threshold|cap",
        "reached|exceeded|exhausted|crossed|used|hit",
    ],
    &["reached your", "usage limits"],
    &["regain access on"],
    &["billing hard limit"],
    &["key limit exceeded"],
    &["account", "not active|in good standing|overdue"],
    &["suspended", "spending|invoice|payment|balance|billing"],
    &["extra usage", "required"],
    &["free tier|free quota", "has been exhausted|used up"],
    &["invalid_payment_instrument"],
];

/// OpenAI says it of money, and Google of every limit.
pub(super) const QUOTA_PROSE: &[&[&str]] = &[&["exceeded your current quota"]];

/// Parts of codes for requests that never fit.
pub(super) const LARGE: &[&str] = &[
    "contextlength",
    "contextwindow",
    "contextlimit",
    "requesttoolarge",
    "payloadtoolarge",
    "contenttoolarge",
    "entitytoolarge",
    "prompttoolong",
    "inputtoolong",
    "tokenslimitreached",
    "maxtokensperrequest",
    "stringabovemaxlength",
];

pub(super) const LARGE_PROSE: &[&[&str]] = &[
    &["request too large|request is too large|request body too large|request entity too large"],
    &["prompt too long|prompt is too long|prompt too large|prompt is too large"],
    &["input is too long|input too long|input is too large|context is too long"],
    &["maximum context length|maximum prompt length|maximum input length"],
    &[
        "context length|context window|context limit|context size",
        "exceed|longer|larger|beyond|fit",
    ],
    &[
        "maximum number of tokens|maximum number of input tokens",
        "exceeds the",
    ],
    &["tokens in the request", "cannot exceed|exceeds"],
    &[
        "tokens + `max_new_tokens`|tokens + max_new_tokens|tokens + ",
        "must be <=",
    ],
    &[
        "payload size|request size|body size|message size",
        "exceeds",
    ],
    &["message larger than max"],
    &["maximum allowed number of bytes"],
    &["reduce the length of"],
    &["too large for model"],
];

/// Parts of codes for a provider that has too much to do, whatever the status.
pub(super) const BUSY: &[&str] = &[
    "overloaded",
    "slowdown",
    "serviceunavailable",
    "modelnotready",
    "capacity",
    "sharedpool",
    "queueexceeded",
    "highdemand",
    "serverbusy",
    "enginebusy",
];

pub(super) const BUSY_PROSE: &[&[&str]] = &[
    &["overloaded"],
    &["high demand|high traffic|high load|heavy load|peak load"],
    &["at capacity|no capacity|over capacity|insufficient capacity|capacity constraint"],
    &[
        "capacity exceeded|capacity temporarily exceeded|capacity exhausted|capacity reached|capacity has been exceeded",
    ],
    &["server is busy|servers are busy|server busy|system is busy"],
    &["rate-limited upstream|rate limited upstream"],
    &["error-code-429"],
    &["resource exhausted", "try again later"],
    &["resource exhausted, please try again later"],
];

/// Another provider's refusal, which a router hands on.
pub(super) const RELAYED_PROSE: &[&[&str]] = &[&["provider returned error"]];

/// Parts of codes for limits, where the status doesn't say so (AWS: 400, streams: 200).
pub(super) const LIMITED: &[&str] = &[
    "ratelimit",
    "toomanyrequests",
    "toomanytokens",
    "throttl",
    "throughputexceeded",
    "resourceexhausted",
    "resourcehasbeenexhausted",
    "quotaexceeded",
];

/// The same in prose, where the status is another one's (Azure's gateway: 403).
pub(super) const LIMITED_PROSE: &[&[&str]] =
    &[&["out of call volume quota|out of bandwidth quota"]];

/// Parts of codes for what went wrong on the provider's side, of errors that came with a success.
pub(super) const FAILED: &[&str] = &[
    "servererror",
    "apierror",
    "internal",
    "timeout",
    "deadline",
    "unavailable",
    "aborted",
    "modelerror",
    "modelstreamerror",
];
